"""Tidegate: closed-loop continuous delivery for containerised agents. See docs/architecture.md for the map."""
