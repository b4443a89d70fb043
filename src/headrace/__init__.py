"""Headrace: buy AI work from GPU owners you don't have to trust."""

__version__ = "0.1.0"
