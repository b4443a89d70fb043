"""What operating a daemon takes: metrics, health, watchdog, doctor, traces."""
