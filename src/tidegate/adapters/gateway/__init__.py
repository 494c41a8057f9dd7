"""Data planes that split traffic between revisions."""
