"""What an agent written in Python imports. Standard library only; depends on nothing else of Tidegate."""
