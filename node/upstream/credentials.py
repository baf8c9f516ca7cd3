"""Credentials: with what this node proves to the top-level node who it is, and knows it: certificates and signing keys.

All are files, which may be replaced while the node runs: it looks at them twice a minute.  The signing key is made at
the first start when none is named, and its public half is written beside it, to be handed to the top-level node.
"""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from node.settings import Settings
from resolver.keys.certificates import read_end
from resolver.keys.files import read_key_file, write_unless_there
from resolver.keys.signing import SigningKey, SigningKind, VerifyingKey, load_verifying_keys

SIGNING_KEY_FILE = "sync-signing.pem"
_PUBLIC_MODE = 0o644

Mark = tuple[tuple[str, int, int], ...]
"""Path, time of change and size of each file; another one when a file was replaced."""


class CredentialsError(Exception):
    """A file is missing or holds the wrong thing; the text names it, and its setting."""


class Credentials(NamedTuple):
    """What the files hold."""

    tls: ssl.SSLContext
    signer: SigningKey
    peer_keys: Mapping[str, VerifyingKey] | None  # None: answers are not checked
    certificate_end: datetime | None  # None: there is no certificate to be shown


class CredentialFiles(NamedTuple):
    """Where they are."""

    certificate: Path | None
    key: Path | None
    authority: Path | None
    signing_key: Path
    peer_keys: Path | None

    @classmethod
    def of(cls, settings: Settings) -> "CredentialFiles":
        """Return the files that the settings name."""
        return cls(
            settings.sync_certificate,
            settings.sync_key,
            settings.sync_authority,
            settings.sync_signing_key or settings.data_dir / SIGNING_KEY_FILE,
            settings.sync_peer_keys,
        )

    @property
    def makes_key(self) -> bool:
        """True when a signing key would be made by `load`."""
        return self.signing_key.name == SIGNING_KEY_FILE and not self.signing_key.exists()

    def mark(self) -> Mark:
        """Return what changes when a file is replaced."""
        return tuple(_mark(path) for path in self if path is not None)

    def make_key(self) -> None:
        """Make the signing key, if it is not there and nobody else's; before `mark`, or it would look replaced.

        What keeps it from being made, `load` tells.
        """
        with suppress(OSError):
            if self.makes_key:
                write_unless_there(self.signing_key, SigningKey.make(SigningKind.ED25519).pem)

    def load(self) -> Credentials:
        """Read all of them; a signing key that is not there is made.  Raises CredentialsError."""
        try:
            signer = self._signer()
            peer_keys = None if self.peer_keys is None else load_verifying_keys(self.peer_keys)
            end = None if self.certificate is None else _end_of(self.certificate)
            return Credentials(self._context(), signer, peer_keys, end)
        except OSError as error:
            raise CredentialsError(
                f"{error.filename} cannot be read: {error.strerror}; see the settings IDNODE_SYNC_…"
            ) from error
        except ValueError as error:
            raise CredentialsError(f"{error}; see the settings IDNODE_SYNC_…") from error

    def _signer(self) -> SigningKey:
        path = self.signing_key
        if self.makes_key:
            write_unless_there(path, SigningKey.make(SigningKind.ED25519).pem)
        signer = SigningKey.load(path)
        if path.name == SIGNING_KEY_FILE:
            write_unless_there(path.with_suffix(".pub"), signer.public.pem, _PUBLIC_MODE)
        return signer

    def _context(self) -> ssl.SSLContext:
        if self.authority is not None:
            read_key_file(self.authority)  # for an error that names it
        try:
            context = ssl.create_default_context(cafile=self.authority)
        except ssl.SSLError as error:
            raise ValueError(f"{self.authority} holds no certificate in PEM") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is None:
            return context
        key = self.key or self.certificate
        read_key_file(key)
        try:
            context.load_cert_chain(self.certificate, key, password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", "") or str(error)
            said = reason.lower().replace("_", " ")
            raise ValueError(f"{self.certificate} and {key} cannot be used: {said}") from error
        return context


def _end_of(path: Path) -> datetime:
    pem = read_key_file(path)
    try:
        return read_end(pem)
    except ValueError as error:
        raise ValueError(f"{path} holds no certificate in PEM") from error


def _mark(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size
