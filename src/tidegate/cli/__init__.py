"""The command line: one file a noun, each command thin, what it shows in views (pure).

What belongs here: reading arguments, finding spec and environment, writing intents, showing what comes of them. What
never does: deciding, and talking to an engine or a store except through ports; wiring hands in a Toolbox. Command
modules import nothing heavy at their top, so that `--help` answers at once.
"""
