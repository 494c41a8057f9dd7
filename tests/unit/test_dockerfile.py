"""Which image a Dockerfile's stage begins from."""

import pytest

from tidegate.pipeline.dockerfile import base_of

STAGES = """# syntax is never written
ARG BASE=debian:12
ARG TAG
FROM --platform=$BUILDPLATFORM golang:1.22@sha256:abc AS builder
RUN go build \\
  ./...
from ${BASE} as runtime
FROM builder AS test
FROM runtime
COPY --from=builder /a /a
"""


@pytest.mark.parametrize(
    ("text", "target", "args", "expected"),
    [
        (STAGES, "", {}, "debian:12"),
        (STAGES, "", {"BASE": "alpine:3"}, "alpine:3"),
        (STAGES, "test", {}, "golang:1.22@sha256:abc"),
        (STAGES, "0", {}, "golang:1.22@sha256:abc"),
        ("FROM scratch\n", "", {}, "scratch"),
        ("ARG V=1\nFROM a:${V:-2}", "", {}, "a:1"),
        ("FROM a:${V:-2}", "", {"V": "3"}, "a:2"),
        ("FROM a AS a\nFROM a", "", {}, "a"),
        ("", "", {}, ""),
        ("RUN true", "", {}, ""),
    ],
)
def test_the_base(text: str, target: str, args: dict[str, str], expected: str) -> None:
    assert base_of(text, target, args) == expected
