"""The market: what is open and on offer, and which of it to match. Pure, no I/O."""
