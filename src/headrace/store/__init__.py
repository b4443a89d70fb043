"""Content kept under its own hash, and the board of signed offers."""
