"""HTTP: what agents report to, and the API. One file a resource; authentication and problems in their own.

agents.py must stay light: it runs inside a command's temporary controller, so no FastAPI and no pydantic there.
"""
