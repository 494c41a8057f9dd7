"""The one loop: observe, decide, persist, act.

Never decides by itself and never talks to an engine except through ports.
"""
