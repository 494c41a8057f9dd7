"""Signatures of Standard Webhooks: HMAC-SHA256 over id, time and body, once for each key in force. Pure.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key of a secret as it is handed out: whsec_ and base64, or base64 alone. Raises ValueError."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a signing secret is base64, with or without whsec_ before it") from None
    if not 16 <= len(key) <= 64:
        raise ValueError("a signing secret holds 16 to 64 bytes (the standard says 24 to 64)")
    return key


def headers(message: str, at: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The three headers; of two keys each makes a signature, so that a receiver may still know only the former one."""
    content = f"{message}.{at}.".encode() + body
    marks = [base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys]
    signed = {"webhook-id": message, "webhook-timestamp": str(at)}
    return signed | ({"webhook-signature": " ".join(f"v1,{mark}" for mark in marks)} if marks else {})
