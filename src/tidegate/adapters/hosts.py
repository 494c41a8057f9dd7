"""One Docker host of a fleet, opened: platform and gateway over unix://, tcp:// with TLS, or ssh://.

ssh goes through aiodocker's tunnel (`docker system dial-stdio` on the host, by asyncssh), with the user's own keys,
known hosts and ~/.ssh/config. Nothing connects before it is used.
"""

import ssl
from dataclasses import dataclass, replace
from importlib.util import find_spec

from aiodocker import Docker

from tidegate.adapters.gateway.container import Options
from tidegate.adapters.gateway.envoy import EnvoyGateway, Writer
from tidegate.adapters.gateway.image import ensure_gateway_image
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.platform import DockerPlatform
from tidegate.model.errors import UnreachableError, UsageError
from tidegate.model.waves import Host, HostTls
from tidegate.ports import SecretSource


@dataclass(frozen=True)
class OpenHost:
    """Close it when done; instances and gateway go on."""

    platform: DockerPlatform
    gateway: EnvoyGateway
    docker: Docker

    async def close(self) -> None:
        """Let go of the connections."""
        await self.gateway.close()
        await self.platform.close()
        await self.docker.close()


@dataclass(frozen=True)
class Way:
    """What all hosts of a fleet share. `gateway` are the options of each host's gateway."""

    secrets: SecretSource
    options: DockerOptions
    gateway: Options = Options()  # noqa: RUF009 - frozen
    writer: Writer = Writer()  # noqa: RUF009 - frozen


def open_host(host: Host, way: Way) -> OpenHost:
    """Make a host's platform and gateway. Raises UsageError (certificates, ssh) or UnreachableError (address)."""
    if host.endpoint.startswith("ssh://") and find_spec("asyncssh") is None:
        raise UsageError(f"host {host.name}: ssh needs asyncssh", hint="pip install 'tidegate[ssh]'")
    context = tls_context(host.name, host.tls) if host.tls is not None else None
    options = way.options
    if not host.endpoint.startswith("unix://") and options.helper_image is None:
        options = replace(options, helper_image=helper_image)
    # aiodocker takes tcp:// for plain HTTP, whatever context it is given.
    url = host.endpoint.replace("tcp://", "https://" if context is not None else "http://", 1)
    engine = Engine(url, ssl_context=context)
    try:
        docker = Docker(url=url, ssl_context=context)
    except (AssertionError, ValueError) as error:
        raise UnreachableError(f"host {host.name}: {host.endpoint} is no engine's address ({error})") from None
    platform = DockerPlatform(engine, way.secrets, options)
    return OpenHost(platform, EnvoyGateway(docker, way.gateway, way.writer, platform.network.ensure), docker)


async def helper_image(docker: Docker) -> str:
    """The gateway's image has busybox in it; it is made and brought to the host where it is missing."""
    return (await ensure_gateway_image(docker)).image.reference


def tls_context(name: str, tls: HostTls) -> ssl.SSLContext:
    """For mutual TLS. Raises UsageError that names the file."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=tls.ca or None)
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key or None)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(path for path in (tls.ca, tls.certificate, tls.key) if path)
        raise UsageError(f"host {name}: the certificates cannot be used ({files}): {error}") from None
    return context
