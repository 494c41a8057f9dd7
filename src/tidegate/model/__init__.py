"""The nouns: frozen dataclasses and enums that every other package speaks in.

Never I/O, never behaviour beyond arithmetic on its own fields.
"""
