"""Fuzz drivers: the daemons against a chain that misbehaves, and processes that are killed."""
