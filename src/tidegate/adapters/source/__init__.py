"""Source control."""
