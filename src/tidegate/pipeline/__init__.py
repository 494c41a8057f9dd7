"""The stages before a rollout: what each runs (as tasks) and how its output becomes evidence.

Never a second engine.
"""
