"""A certificate authority for a test, with certificates for engines and for whoever calls them (openssl)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.netns import sh

DAYS = "2"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; everything is in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca, key = folder / "ca.pem", folder / "ca-key.pem"
        self._key = key
        sh(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", DAYS, "-subj", "/CN=test authority", "-keyout", str(key), "-out", str(self.ca)),
        )

    def server(self, address: str) -> Pair:
        """For an engine that listens on an address."""
        return self._sign(address, f"subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth\n")

    def client(self, name: str) -> Pair:
        """For who calls engines."""
        return self._sign(name, "extendedKeyUsage=clientAuth\n")

    def _sign(self, name: str, extensions: str) -> Pair:
        certificate, key, request = (self.folder / f"{name}{end}" for end in (".pem", "-key.pem", ".csr"))
        more = self.folder / f"{name}.ext"
        more.write_text(extensions)
        sh(
            *("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request)),
        )
        sh(
            *("openssl", "x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-days", DAYS, "-extfile", str(more), "-out", str(certificate)),
        )
        return Pair(certificate, key)
