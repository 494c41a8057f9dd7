"""Certificates and keys, copied from the gateway's host into its volume.

The files are the host's, which may be another machine, and the gateway's container sees nothing of the host. So a
container that lives for a moment mounts just the two files and copies them; Envoy watches the copies.
"""

import shlex
from collections.abc import Iterable
from typing import Any

import aiodocker

from tidegate.adapters.gateway import names
from tidegate.adapters.gateway.container import ERRORS, Options
from tidegate.adapters.gateway.session import Session
from tidegate.model.errors import GatewayError
from tidegate.model.workload import Tls

COPY_S = 20.0


async def ensure(docker: aiodocker.Docker, session: Session, options: Options, wanted: Iterable[Tls]) -> None:
    """Copy the files that are not in the volume yet. Raises GatewayError that names the file it cannot read."""
    pairs = sorted(wanted, key=lambda pair: (pair.certificate, pair.key))
    if not pairs:
        return
    tests = [f"[ -s {d}/crt ] && [ -s {d}/key ] && echo {i}" for i, d in enumerate(map(names.tls_directory, pairs))]
    _, output = await session.run(";\n".join(tests))
    present = {int(line) for line in output.split()}
    for index, pair in enumerate(pairs):
        if index not in present:
            await copy(docker, options, pair)


async def copy(docker: aiodocker.Docker, options: Options, pair: Tls) -> None:
    """Copy one pair into the volume; Envoy takes it up when both files are in place. Raises GatewayError."""
    directory = shlex.quote(names.tls_directory(pair))
    script = (
        f"set -e; umask 077; d={directory}; mkdir -p $d; cat /crt > $d/.crt; cat /key > $d/.key; sync; "
        "mv $d/.key $d/key; mv $d/.crt $d/crt"
    )
    mounts = [
        {"Type": "volume", "Source": options.name, "Target": names.VOLUME},
        {"Type": "bind", "Source": pair.certificate, "Target": "/crt", "ReadOnly": True},
        {"Type": "bind", "Source": pair.key, "Target": "/key", "ReadOnly": True},
    ]
    body: dict[str, Any] = {
        "Image": options.image,
        "Entrypoint": ["/usr/bin/busybox", "sh", "-c", script],
        "Env": ["PATH=/usr/bin:/bin"],
        "User": "0:0",
        "HostConfig": {"NetworkMode": "none", "Mounts": mounts},
    }
    files = f"{pair.certificate} and {pair.key}"
    hint = "name the certificate chain and the key as the gateway's host sees them"
    try:
        container = await docker.containers.create(body)
        try:
            await container.start()
            result = await container.wait(timeout=COPY_S)
            said = "".join(await container.log(stdout=True, stderr=True)).strip()
        finally:
            await container.delete(force=True, v=False)
    except ERRORS as error:
        raise GatewayError(f"TLS files {files}: {getattr(error, 'message', error)}", hint=hint) from error
    if result["StatusCode"]:
        raise GatewayError(f"TLS files {files} cannot be copied: {said}", hint=hint)
