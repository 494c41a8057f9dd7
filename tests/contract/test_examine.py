"""Real images looked into on a real engine: what is planted is found, in the layer where it is."""

import io
import tarfile
from collections.abc import AsyncIterator

import pytest

from tests.engine import Engine
from tidegate.adapters.platform.docker.client import Engine as Client
from tidegate.adapters.registry.builder import EngineBuilder
from tidegate.adapters.workshop.images import examine
from tidegate.model.errors import NotFoundError
from tidegate.model.source import BuildOptions
from tidegate.model.work import ExamineImage

pytestmark = [pytest.mark.engine]
# No real key: the words around one are what is looked for.
KEY = "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nnot a key\n"
METADATA = "Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\n\nBody: no\n"
DPKG = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\nPackage: zlib1g\nVersion: 1.2\n"
DOCKERFILE = """FROM {base}
COPY id_rsa /root/.ssh/id_rsa
RUN rm /root/.ssh/id_rsa && cp /bin/busybox /usr/bin/elevate && chmod 4755 /usr/bin/elevate
COPY METADATA /usr/lib/python3/requests-2.31.0.dist-info/METADATA
COPY status /var/lib/dpkg/status
ENV API_TOKEN=x1
USER 65534
HEALTHCHECK CMD ["true"]
CMD ["httpd", "-f"]
"""


def packed(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[Client]:
    made = Client(engine.url)
    yield made
    await made.close()


async def test_what_is_planted_is_found(engine: Engine, client: Client) -> None:
    base = engine.load("tidegate/base-busybox")
    docker = engine.aiodocker()
    try:
        context = packed(Dockerfile=DOCKERFILE.format(base=base), id_rsa=KEY, METADATA=METADATA, status=DPKG)
        image = await EngineBuilder(docker).build(context, "planted:1.0.0-abc", BuildOptions())
    finally:
        await docker.close()
    facts = await examine(client, ExamineImage("image", image.config_digest, base, base))
    found = {(one.path, one.why): one for one in facts.files}
    key = found["root/.ssh/id_rsa", "private_key"]
    assert key.hidden
    assert found["usr/bin/elevate", "setuid"].layer > key.layer
    assert ("usr/bin/sh", "shell") in found
    assert {(one.kind, one.name, one.version) for one in facts.packages} >= {
        ("pypi", "requests", "2.31.0"),
        ("deb", "libc6", "2.36-9"),
        ("deb", "zlib1g", "1.2"),
    }
    assert facts.user == "65534"
    assert facts.healthcheck
    assert facts.entrypoint == ("httpd", "-f")
    assert facts.env["API_TOKEN"] == "x1"
    assert 0 < facts.former_size < facts.size
    assert facts.created_at > 0
    assert facts.base_created_at == 0.0, "bases that are made here carry no time of their own"
    assert any("chmod 4755" in layer.command for layer in facts.layers)


async def test_an_image_that_is_not_there_is_said(client: Client) -> None:
    with pytest.raises(NotFoundError):
        await examine(client, ExamineImage("image", "nowhere:1"))
