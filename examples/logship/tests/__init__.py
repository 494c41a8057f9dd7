"""`python -m unittest` in the agent's folder runs these; they need nothing but Python."""
