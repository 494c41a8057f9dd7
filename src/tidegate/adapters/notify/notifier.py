"""Delivers notices: web hooks, Slack-compatible hooks, commands, pipelines of GitLab and Jenkins.

One attempt a call; trying again is the outbox's. Values of secrets are resolved for the attempt and appear in no error:
an address that may hold a token is shown by scheme and host only.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from tidegate.adapters.command import Limits, TooLongError, TooMuchError, run
from tidegate.adapters.notify import cdevents, channels
from tidegate.adapters.notify.channels import Request
from tidegate.model.errors import NoticeError
from tidegate.model.event import Event
from tidegate.model.policy import Channel, Endpoint
from tidegate.model.workload import SecretRef, Workload
from tidegate.ports import SecretSource


@dataclass
class NoticeSender:
    """ports.Notifier."""

    secrets: SecretSource
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    async def deliver(self, endpoint: Endpoint, sequence: int, event: Event) -> None:
        """One attempt. Raises NoticeError, SecretError."""
        if endpoint.channel is Channel.COMMAND:
            await self._command(endpoint, sequence, event)
            return
        url = endpoint.url
        if endpoint.url_secret is not None:
            url = (await self._values((endpoint.url_secret,)))[0]
        request = _request(endpoint, sequence, event, await self._values(endpoint.secrets))
        await self._post(endpoint, url, request)

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _values(self, refs: tuple[SecretRef, ...]) -> list[str]:
        # One at a time: two keys may be kept under the same name.
        found = [await self.secrets.resolve(Workload(secrets=(ref,))) for ref in refs]
        return [value for each in found for value in each.values()]

    async def _post(self, endpoint: Endpoint, url: str, request: Request) -> None:
        where = _shown(endpoint, url)
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=True)
        limit = aiohttp.ClientTimeout(total=endpoint.timeout_s)
        try:
            async with self._session.post(
                url, data=request.body, headers=request.headers, timeout=limit, allow_redirects=False
            ) as answer:
                status = answer.status
        except TimeoutError:
            raise NoticeError(f"{where} did not answer within {endpoint.timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The error's text may hold the address, and the address a token: only its kind is told.
            raise NoticeError(f"{where} cannot be reached ({type(error).__name__})") from None
        if not 200 <= status < 300:
            raise NoticeError(f"{where} answered {status}", gone=status == 410)

    async def _command(self, endpoint: Endpoint, sequence: int, event: Event) -> None:
        variables = channels.variables_of(event)
        variables["TIDEGATE_EVENT"] = cdevents.body(sequence, event).decode()
        program = endpoint.command[0] if endpoint.command else ""
        try:
            environ = {**self.environ, **variables}
            result = await run(endpoint.command, environ, limits=Limits(deadline_s=endpoint.timeout_s))
        except (TooLongError, TooMuchError) as error:
            raise NoticeError(f"{endpoint.name}: {program}: {error}") from None
        except (OSError, IndexError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "no command"
            raise NoticeError(f"{endpoint.name}: {program}: {why}") from None
        if result.code:
            raise NoticeError(f"{endpoint.name}: {program} ended with {result.code}")


def _request(endpoint: Endpoint, sequence: int, event: Event, secrets: list[str]) -> Request:
    match endpoint.channel:
        case Channel.SLACK:
            return channels.slack(event)
        case Channel.GITLAB:
            return channels.gitlab(endpoint, event, secrets)
        case Channel.JENKINS:
            return channels.jenkins(endpoint, event, secrets)
        case _:
            try:
                return channels.webhook(sequence, event, int(time.time()), secrets)
            except ValueError as error:
                raise NoticeError(f"{endpoint.name}: {error}") from None


def _shown(endpoint: Endpoint, url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{endpoint.name} ({parts.scheme}://{parts.hostname or ''})"
    except ValueError:
        return endpoint.name
