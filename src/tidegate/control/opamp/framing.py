"""OpAMP over WebSocket: each message is preceded by a header, a varint that is 0.

Source: https://github.com/open-telemetry/opamp-spec/blob/main/specification.md#websocket-message-format
"""

from tidegate.control.opamp.decoding import MalformedError

LONGEST_HEADER = 10


def unframe(data: bytes) -> bytes:
    """The message in a WebSocket's binary message. Raises MalformedError.

    Clients older than OpAMP 0.3 send no header; their first byte is 0x0a (field 1), so both are told apart.
    """
    if data[:1] == b"\x0a":
        return data
    for index, byte in enumerate(data[:LONGEST_HEADER]):
        if byte & 0x7F:
            raise MalformedError("the header of a WebSocket message must be 0")
        if not byte & 0x80:
            return data[index + 1 :]
    raise MalformedError("the header of a WebSocket message has no end")


def frame(message: bytes) -> bytes:
    """A message ready to be sent."""
    return b"\x00" + message
