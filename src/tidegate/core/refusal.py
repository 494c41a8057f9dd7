"""Why an intent is not carried out."""


class RefusedError(Exception):
    """The intent cannot be carried out; the message says why and what can be done instead."""
