"""The HTTP API under /v1: one file a resource, composed in app.py. docs/how-to/extend-the-api.md says how to add one.

Here FastAPI and pydantic are loaded, so nothing outside imports this package but wiring, when `tidegate serve` begins.
A resource reads through the same ports and views as the command line and asks by the same intents; it decides nothing.
"""
