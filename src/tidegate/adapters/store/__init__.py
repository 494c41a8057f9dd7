"""Stores of state, events, intents and the lease."""
