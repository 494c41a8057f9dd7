"""OpAMP 0.18, the server's side: messages in, what is known of each agent and the answer out.

Here: reading and writing the protocol's messages, and the pure state machine of one agent's conversation. Never here:
sockets and HTTP (the server's), what follows from an agent's silence (core's).
"""
