"""Data planes that split traffic between revisions: Envoy in a container of ours, one per host.

The pure half is merge (many agents' routes), render (Envoy's files), stages (the order in which files change), dump and
stats (what Envoy says it applied and counted). The other half talks to the container: session, admin,
volume, container, and envoy, which is the port's adapter. No decision about weights is made here.
"""
