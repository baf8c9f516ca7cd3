"""Papers: the authority of the top-level node, what it issues to the secondary node, and whose signatures it takes.

In the data directory:

    authority.pem, authority.crt   the authority that both certificates are of
    server.pem                     key and certificate of the HTTPS listener, made anew at each start
    signing.pem                    signs every answer
    keys/*.pem                     public keys of the secondary node; each of them counts, so one is changed for another
    issue/                         what the secondary node is handed: node.pem (client certificate and its key),
                                   signing.pem (a key for its signatures), authority.crt, toplevel.pub

As the real one's business system does, this one makes a key pair for the node that it hands papers to.
"""

import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from node.errors import Kind, RegistryError
from resolver.keys.certificates import AUTHORITY_CERTIFICATE_FILE, Authority, read_end
from resolver.keys.files import read_key_file, replace, write_unless_there
from resolver.keys.signing import (
    SigningKey,
    SigningKind,
    VerifyingKey,
    load_verifying_keys,
    read_verifying_keys,
)

SERVER_DAYS, CLIENT_DAYS = 365, 365
EXPIRED_DAYS = -1
RENEW_DAYS = 30
MAX_KEY_FILES = 64

_PUBLIC_MODE = 0o644


class Papers:
    """The files; `hosts` are the names and addresses by which the listener is reached."""

    def __init__(self, directory: Path, node_prefix: str, hosts: Iterable[str]) -> None:
        """Make what is missing.  Raises RegistryError."""
        self._directory = directory
        self._hosts = {"localhost", "127.0.0.1", "::1", *hosts}
        self.issue = directory / "issue"
        self.keys: dict[str, VerifyingKey] = {}
        try:
            for each in (directory, directory / "keys", self.issue):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._authority = Authority.load_or_make(directory, datetime.now(UTC))
            self.signer = self._make_signer(directory / "signing.pem")
            self._hand_out(node_prefix)
            self._read_keys()
        except (ValueError, OSError) as error:
            raise RegistryError(Kind.MISCONFIGURED, f"{error}.") from error

    def server_context(self) -> ssl.SSLContext:
        """Return what the listener speaks TLS with: nobody without a certificate of the authority is heard."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self._authority.certificate_pem)
        self.show_certificate(context, is_expired=False)
        return context

    def show_certificate(self, context: ssl.SSLContext, *, is_expired: bool) -> None:
        """Show a good certificate in new connections, or one that has ended."""
        days = EXPIRED_DAYS if is_expired else SERVER_DAYS
        path = self._directory / "server.pem"
        replace(path, self._authority.issue_server(self._hosts, datetime.now(UTC), days))
        context.load_cert_chain(path)

    def add_keys(self, pem: bytes) -> Mapping[str, VerifyingKey]:
        """Take public keys of the secondary node, from now on and after a restart.  Raises ValueError, OSError."""
        found = read_verifying_keys(pem)
        if len(self.keys) + len(found) > MAX_KEY_FILES:
            raise ValueError(f"{MAX_KEY_FILES} keys are enough; remove some first")
        for key_id, key in found.items():
            replace(self._directory / "keys" / f"{key_id}.pem", key.pem)
        self.keys = {**self.keys, **found}
        return found

    def remove_key(self, key_id: str) -> bool:
        """Take this key no longer; False when it is not known.  Raises OSError."""
        if key_id not in self.keys:
            return False
        for path in self._key_files():
            if key_id in load_verifying_keys(path):
                path.unlink()
        self._read_keys()
        return True

    def _hand_out(self, node_prefix: str) -> None:
        """See that the node's papers are there, and last for a while."""
        authority = self._authority.certificate_pem.encode()
        replace(self.issue / AUTHORITY_CERTIFICATE_FILE, authority)
        replace(self.issue / "toplevel.pub", self.signer.public.pem)
        client, now = self.issue / "node.pem", datetime.now(UTC)
        if not client.exists() or (read_end(read_key_file(client)) - now).days < RENEW_DAYS:
            replace(client, self._authority.issue_client(node_prefix, now, CLIENT_DAYS))
        path = self.issue / "signing.pem"
        is_new = not path.exists()
        handed = self._make_signer(path)
        if is_new:
            write_unless_there(
                self._directory / "keys" / f"{handed.key_id}.pem", handed.public.pem, _PUBLIC_MODE
            )

    def _make_signer(self, path: Path) -> SigningKey:
        if not path.exists():
            write_unless_there(path, SigningKey.make(SigningKind.ED25519).pem)
        return SigningKey.load(path)

    def _key_files(self) -> list[Path]:
        return sorted((self._directory / "keys").glob("*.pem"))[:MAX_KEY_FILES]

    def _read_keys(self) -> None:
        self.keys = {}
        for path in self._key_files():
            self.keys |= load_verifying_keys(path)
