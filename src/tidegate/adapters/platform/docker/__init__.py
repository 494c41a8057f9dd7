"""One Docker host through the Engine API (aiodocker): the adapter of ports.Platform.

What belongs here: reading the engine (observer), saying which calls lead to what should be (planner, pure), making one
call at a time (executor), and what a host alone can know: addresses, probes, pulls, events, containers started by hand.
What never does: deciding. Nothing here looks at verdicts, weights or rollouts, and nothing here retries a decision.

The way in is platform.DockerPlatform.
"""
