"""The control centre: heartbeats in, liveness out."""
