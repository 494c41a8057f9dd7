"""Who calls, on the routes that agents reach: by the token alone."""

import logging
import time
from collections.abc import Mapping

from starlette.datastructures import Headers

from tidegate.control.tokens import Bearer, Tokens

CHALLENGE: Mapping[str, str] = {"WWW-Authenticate": 'Bearer realm="tidegate agents"'}
CLOSE: Mapping[str, str] = {"Connection": "close"}
TELL_EVERY_S = 60.0

log = logging.getLogger(__name__)


class Callers:
    """Reads tokens; says at most once a minute that somebody knocks with a wrong one."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._told_at = -TELL_EVERY_S

    def who(self, headers: Headers) -> Bearer | None:
        """Whose token came with a request; None without a good one."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self._tokens.verify(token.strip(), time.time())

    def tell(self, client: tuple[str, int] | None, what: str) -> None:
        """For a person to look; not a way to fill the log."""
        if time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._told_at = time.monotonic()
            log.warning("a message from %s %s was refused", client[0] if client else "?", what)
