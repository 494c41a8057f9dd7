"""Platforms: where instances run. Each has a pure planner and an executor of one engine call an operation."""
