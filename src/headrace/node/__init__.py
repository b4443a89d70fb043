"""The provider's daemon: offers, runs what it is matched with, claims, answers for its claims."""
