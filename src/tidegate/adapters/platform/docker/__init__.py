"""One Docker host through the Engine API (aiodocker)."""
