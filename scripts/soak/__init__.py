"""A market left alone with its faults for half an hour; see `__main__`."""
