"""Measurements of what the project promises, each beside its goal."""
