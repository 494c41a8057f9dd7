"""The control centre: heartbeats in, liveness out.

Here: reading messages, tokens, the registry of pulses. What follows from them is core's matter; HTTP is the server's.
"""
