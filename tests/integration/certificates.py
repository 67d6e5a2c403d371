"""Certificates for tests, made by the ``openssl`` command."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs certificates for this machine. Its own is ``certificate``."""

    folder: Path
    name: str = "authority"

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def found(self) -> Authority:
        """Makes its key and its certificate."""
        _make(self.name, self.certificate, self.certificate.with_suffix(".key"), "CA:TRUE")
        return self

    def issue(self, name: str) -> Identity:
        """A certificate of that name."""
        made = Identity(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        signed = ("-CA", str(self.certificate), "-CAkey", str(self.certificate.with_suffix(".key")))
        names = ("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        _make(name, made.certificate, made.key, "CA:FALSE", *signed, *names)
        return made

    def trusting(self, identity: Identity | None = None) -> ssl.SSLContext:
        """What a client needs that trusts this authority, and shows a certificate where one is given."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context


def replace(files: Identity, renewed: Identity) -> None:
    """The certificate, then the key, each in one step."""
    for old, new in ((files.certificate, renewed.certificate), (files.key, renewed.key)):
        beside = old.with_suffix(".new")
        shutil.copy(new, beside)
        beside.rename(old)


def _make(name: str, certificate: Path, key: Path, kind: str, *more: str) -> None:
    command = [
        "openssl", "req", "-x509", "-days", "2",
        "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", f"/CN={name}", "-addext", f"basicConstraints=critical,{kind}", *more,
        "-out", str(certificate), "-keyout", str(key),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
