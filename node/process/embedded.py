"""The embedded servers: Postgres and Valkey from their wheels, for a machine where no URL is given.

Both listen on unix sockets in a directory that only their account enters, and are tethered to the supervisor
(`node.process.tether`).  Postgres is the truth, so it writes as carefully as any; Valkey is speed, so it keeps nothing.

Law: whoever holds the data directory's locks knows that no earlier server runs, so what a killed one left (pid files,
sockets, half a cluster) is removed without a look inside.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from node.config import Settings
from node.errors import Kind, RegistryError
from node.process import tether
from node.process.child import LIFELINE, Child, Program
from node.process.home import Home
from node.process.lock import DataDirectory
from node.process.machine import MEBIBYTE, buffer_bytes, memory_bytes
from node.process.probe import ping_redis
from node.store.database import StoreUnavailable, connect

DATABASE = "idnode"
SUPERUSER = "postgres"
VALKEY_MEMORY = "256mb"
INITDB_SECONDS = 120
WORKER_CONNECTIONS = 20  # 16 that it opens, and room while one takes the place of another
RECOVERY_SECONDS = 600.0  # Postgres after a crash, with a large log to replay
GRACE_SECONDS = 60.0

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C", "TZ": "UTC"}  # no PG… variables
_POSTGRES_STOP = "2:40,3:10,9:5"  # SIGINT is Postgres's fast stop, SIGQUIT its immediate one
_VALKEY_STOP = "15:10,9:5"
_INITDB = (
    *("--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--no-instructions"),
    *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """An embedded server: the child to start and stop, and the URL to reach it once it is ready."""

    child: Child
    url: str


async def embed_postgres(home: Home, directory: DataDirectory, settings: Settings) -> Server:
    """Prepare the cluster, made if missing.  Raises RegistryError."""
    if not home.cluster.exists():
        await _make_cluster(home, directory)
    (home.cluster / "postmaster.pid").unlink(missing_ok=True)
    url = f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(home.sockets), safe='')}&port=5432"
    settled = _options(home, settings)
    command = [str(home.postgres / "postgres"), "-D", str(home.cluster), *settled]

    async def answers() -> bool:
        try:
            connection = await connect(url)
        except StoreUnavailable:
            return False
        connection.terminate()
        return True

    program = Program(
        name="postgres",
        arguments=_tethered(home, directory, _POSTGRES_STOP, command),
        environment=_ENVIRONMENT,
        descriptors=(directory.children,),
        grace_seconds=GRACE_SECONDS,
        ready_seconds=RECOVERY_SECONDS,
        probe=answers,
        log=_fresh_log(directory, "postgres"),
    )
    return Server(Child(program), url)


def _options(home: Home, settings: Settings) -> list[str]:
    """Return Postgres's settings as words of its command line; what is not here is its own default."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(home.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": str(60 + WORKER_CONNECTIONS * settings.workers),
        "shared_buffers": f"{buffer_bytes(memory_bytes()) // MEBIBYTE}MB",
        "max_wal_size": "2GB",
        "wal_compression": "pglz",  # this build has no lz4
        "checkpoint_timeout": "15min",
        "log_checkpoints": "off",
        "log_min_messages": "log",  # what a statement did wrong is reported by whoever sent it
        "log_timezone": "UTC",
        "timezone": "UTC",
        "cluster_name": "idnode",
    }
    return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]


def embed_valkey(home: Home, directory: DataDirectory) -> Server:
    """Prepare Valkey: a cache that forgets the least recently used, and everything when it ends."""
    socket_path = home.sockets / "valkey"
    command = [
        *(str(home.valkey), "--port", "0", "--unixsocket", str(socket_path)),
        *("--unixsocketperm", "700", "--dir", str(home.sockets), "--daemonize", "no"),
        *("--save", "", "--appendonly", "no", "--loglevel", "warning"),
        *("--maxmemory", VALKEY_MEMORY, "--maxmemory-policy", "allkeys-lru"),
    ]
    url = f"unix://{quote(str(socket_path))}"

    async def answers() -> bool:
        try:
            await ping_redis(url)
        except RegistryError:
            return False
        return True

    program = Program(
        name="valkey",
        arguments=_tethered(home, directory, _VALKEY_STOP, command),
        environment=_ENVIRONMENT,
        descriptors=(directory.children,),
        grace_seconds=GRACE_SECONDS,
        probe=answers,
        log=_fresh_log(directory, "valkey"),
    )
    return Server(Child(program), url)


def _tethered(
    home: Home, directory: DataDirectory, stop: str, command: Sequence[str]
) -> tuple[str, ...]:
    account = (str(home.account.uid), str(home.account.gid))
    launcher = (sys.executable, "-I", "-S", str(Path(tether.__file__).absolute()))
    return (*launcher, LIFELINE, *account, str(directory.children), stop, "--", *command)


def _fresh_log(directory: DataDirectory, name: str) -> Path:
    """Return the file for a server's own messages; those of the run before are kept beside it."""
    path = directory.path / "log" / f"{name}.log"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists():
        path.replace(path.with_suffix(".log.1"))
    return path


async def _make_cluster(home: Home, directory: DataDirectory) -> None:
    """Make the cluster and its database beside their place, and move them there when they are whole."""
    partial = home.cluster.with_name("postgres.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    home.account.own(partial)
    await _run_once(home, directory, ["initdb", "--pgdata", str(partial), *_INITDB])
    single = ["postgres", "--single", "-D", str(partial), "postgres"]
    await _run_once(home, directory, single, f"CREATE DATABASE {DATABASE}\n")
    partial.rename(home.cluster)


async def _run_once(
    home: Home, directory: DataDirectory, command: Sequence[str], given: str = ""
) -> None:
    process = await asyncio.create_subprocess_exec(
        str(home.postgres / command[0]),
        *command[1:],
        env=_ENVIRONMENT,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(directory.children,),
        start_new_session=True,
        **home.account.identity,
    )
    try:
        async with asyncio.timeout(INITDB_SECONDS):
            output, _ = await process.communicate(given.encode())
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        last = output.decode(errors="replace").strip().rpartition("\n")[2]
        raise RegistryError(
            Kind.UNAVAILABLE,
            f"Cannot make the embedded database in {home.cluster}: {last or os.strerror(0)}.",
        )
