"""Papers of a test's two nodes: an authority, and certificates of it, as PEM files."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from resolver.keys.certificates import AUTHORITY_CERTIFICATE_FILE, Authority

DAYS = 9
OVER = -1  # days of a certificate that ended yesterday


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority in a directory of its own; its certificate is in `path`."""

    path: Path
    authority: Authority

    @classmethod
    def make(cls, directory: Path, name: str = "authority") -> "Issuer":
        """Make one."""
        home = directory / name
        home.mkdir()
        authority = Authority.load_or_make(home, datetime.now(UTC))
        return cls(home / AUTHORITY_CERTIFICATE_FILE, authority)

    def issue_server(self, name: str, days: int = DAYS) -> Path:
        """Write a key and a server's certificate for 127.0.0.1 into one file."""
        return self._write(
            name, self.authority.issue_server(["127.0.0.1"], datetime.now(UTC), days)
        )

    def issue_client(self, name: str, days: int = DAYS) -> Path:
        """Write a key and a client's certificate into one file."""
        return self._write(name, self.authority.issue_client(name, datetime.now(UTC), days))

    def _write(self, name: str, pem: bytes) -> Path:
        path = self.path.parent / f"{name}.pem"
        path.write_bytes(pem)
        return path
