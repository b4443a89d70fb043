"""The chain as the daemons and the command line see it: reads, events, transactions, deployment."""
