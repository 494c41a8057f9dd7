"""Pure decisions: facts, state and time go in, a decision comes out. Never I/O, clock, randomness or logging."""
