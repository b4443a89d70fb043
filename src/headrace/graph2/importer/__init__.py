"""From float networks to integer graphs: calibration, scales, and the models that come with it."""
