"""Terms, asks and records: their words, signatures, money, and what stands against a match."""
