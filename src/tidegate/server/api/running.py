"""The API's listener: begins when the port can be had, ends with a deadline, says what keeps it."""

import asyncio
import errno
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidegate.model.door import Door
from tidegate.model.errors import UsageError
from tidegate.server.api.app import compose
from tidegate.server.api.parts import Api
from tidegate.server.connections import ApiConnection
from tidegate.server.serving import Served
from tidegate.server.sockets import Tls, bind

LOOK_S = 1.0

log = logging.getLogger(__name__)


@dataclass
class ApiServer:
    """Serves while `run` runs. A port that another process holds (the one that it stands by for) is tried again."""

    api: Api
    _told: str = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop. Raises UsageError for TLS files that cannot be used."""
        app, tls = compose(self.api), _tls(self.api.door)
        served: Served | None = None
        try:
            while not stop.is_set():
                if served is None or served.task.done():
                    served = self._begin(app, tls)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_S)
        finally:
            if served is not None:
                await served.close()

    def _begin(self, app: object, tls: Tls | None) -> Served | None:
        door = self.api.door
        try:
            bound = bind(door.host, door.port)
        except OSError as error:
            held = error.errno == errno.EADDRINUSE
            why = "another program has the port; trying again" if held else error.strerror or str(error)
            if why != self._told:
                log.warning("cannot serve the API on %s: %s", door.url, why)
            self._told = why
            return None
        self._told = ""
        log.info("serving the API on %s%s", door.url, " without tokens" if door.open else "")
        return Served(app, bound, ApiConnection, tls)


def _tls(door: Door) -> Tls | None:
    """The files, once they are known to be good."""
    if not door.certificate:
        return None
    import ssl

    tls = Tls(Path(door.certificate), Path(door.key))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a certificate and its key"
        raise UsageError(f"{tls.certificate}, {tls.key}: {why}", hint="both are PEM files that match") from None
    return tls
