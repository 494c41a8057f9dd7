"""A small git repository with an agent in it, for deliveries: busybox serving a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

DOCKERFILE = """FROM {base}
COPY version /www/ready
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""
SPEC = """agent: web
build: {}
workload: {init: true, stop_grace_period: 1s}
probes:
  readiness:
    httpGet: {path: /ready, port: 8080}
    period: 50ms
environments:
  prod: {}
strategy:
  canary:
    steps: [{set_weight: 100}]
    bake: 0s
analysis: {metrics: []}
"""
GIT = ("git", "-c", "user.name=tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")


class Repository:
    """Files, and commits of all of them. `base` is the image that Dockerfiles begin from."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder
        self.base = base
        self.spec = folder / "tidegate.yaml"
        folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.write("Dockerfile", DOCKERFILE.format(base=base))
        self.write("tidegate.yaml", SPEC)

    def write(self, name: str, text: str) -> None:
        """A file, which the next commit holds."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, version: str, message: str = "") -> str:
        """Everything, with `version` as the text of a file; the commit's id."""
        self.write("version", version)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message or version)
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """What git says."""
        done = subprocess.run([*GIT, *arguments], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()
