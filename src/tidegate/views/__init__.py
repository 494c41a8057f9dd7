"""What is shown of the state: pure functions from model values to plain data, and from those to lines for a terminal.

Command line, HTTP API and pages read the same views. Never I/O, never a clock; lines are tested as text.
"""
