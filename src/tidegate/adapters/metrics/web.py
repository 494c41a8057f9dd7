"""One GET, bounded in time and size, with errors that name no credential."""

import base64
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from tidegate.model.errors import MetricError
from tidegate.model.metering import Origin
from tidegate.model.workload import SecretRef, Workload
from tidegate.ports import SecretSource

MOST_BYTES = 8 << 20


@dataclass
class Web:
    """A connection pool of one source's."""

    timeout_s: float
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    async def get(self, url: str, query: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body. Raises MetricError."""
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        where = shown(url)
        limit = aiohttp.ClientTimeout(total=self.timeout_s)
        try:
            async with self._session.get(
                url, params=query, headers=self.headers, timeout=limit, allow_redirects=False
            ) as answer:
                body = await answer.content.read(MOST_BYTES + 1)
                while len(body) <= MOST_BYTES and (more := await answer.content.read(MOST_BYTES + 1 - len(body))):
                    body += more
                status = answer.status
        except TimeoutError:
            raise MetricError(f"{where} did not answer within {self.timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The error's text may hold the address, and the address a password: only its kind is told.
            raise MetricError(f"{where} cannot be reached ({type(error).__name__})") from None
        if len(body) > MOST_BYTES:
            raise MetricError(f"{where} answered more than {MOST_BYTES >> 20} MiB")
        return status, body

    async def close(self) -> None:
        """Let go of the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def shown(url: str) -> str:
    """An address without what may be secret in it."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "the address"


async def authorization(origin: Origin, secrets: SecretSource) -> dict[str, str]:
    """The header with an origin's credentials. Raises SecretError."""
    if origin.token is not None:
        return {"authorization": f"Bearer {await _value(origin.token, secrets)}"}
    if origin.password is not None:
        pair = f"{origin.user}:{await _value(origin.password, secrets)}"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


async def _value(ref: SecretRef, secrets: SecretSource) -> str:
    return next(iter((await secrets.resolve(Workload(secrets=(ref,)))).values()))
