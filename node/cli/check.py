"""`idnode check`: what would keep the node from working, or keeps it, and why; changes nothing."""

import argparse
import asyncio
import http.client
import json
import os
import resource
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from node import config
from node.address import Endpoint, loopback_if_any
from node.config import Settings
from node.errors import RegistryError
from node.process.home import find_programs
from node.process.lock import holder
from node.process.probe import ping_redis, redis_servers
from node.process.running import find_running
from node.sockets import is_free
from node.store.database import StoreError, StoreUnavailable
from node.store.schema import inspect_database, inspect_replica
from node.tls import SOON, days_left, files_of, is_on
from node.upstream.credentials import CredentialFiles, CredentialsError

POSTGRES_MAJOR = 14  # the oldest that we test with
LITTLE_SPACE_BYTES, NO_SPACE_BYTES = 2 << 30, 200 << 20
SKEW_SECONDS = 2.0
ADMIN_SECONDS = 5.0

Level = Literal["ok", "warn", "FAIL"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, and why."""

    level: Level
    subject: str
    reason: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes: none, but a word on what it does."""
    parser.epilog = (
        "Changes nothing. The exit code is 1 when something fails; a warning does not count."
    )


def run(_arguments: argparse.Namespace) -> int:
    """Look at everything, print a line for each; return 1 when one fails.  Raises RegistryError for bad settings."""
    settings = config.load()
    failed = False
    for finding in _findings(settings):
        print(f"{finding.level:<5} {finding.subject:<16} {finding.reason}", flush=True)
        failed = failed or finding.level == "FAIL"
    print("Something fails; the lines above say what to do." if failed else "The node can work.")
    return int(failed)


def _findings(settings: Settings) -> Iterator[Finding]:
    yield Finding("ok", "settings", "can be read")
    yield _data_directory(settings.data_dir)
    yield _space(settings.data_dir)
    running, finding = _running(settings)
    yield finding
    yield from _listeners(running or settings, is_running=running is not None)
    if is_on(settings):
        yield _tls(settings)
    if settings.sync_url:
        yield _sync(CredentialFiles.of(settings))
    yield from asyncio.run(_postgres(settings, running))
    if settings.database_url and settings.database_read_url:
        yield asyncio.run(_replica(settings.database_url, settings.database_read_url))
    yield from asyncio.run(_redis(settings, running))
    yield _descriptors(settings)
    if running:
        yield from _readiness(running.admin_listen[0])


def _data_directory(path: Path) -> Finding:
    there = next(each for each in (path, *path.parents) if each.exists())
    if there != path and os.access(there, os.W_OK | os.X_OK):
        return Finding("ok", "data directory", f"{path} will be made")
    if there == path and path.is_dir() and os.access(path, os.W_OK | os.X_OK):
        return Finding("ok", "data directory", f"{path} can be written")
    advice = "change its owner, or set IDNODE_DATA_DIR to another directory"
    return Finding("FAIL", "data directory", f"{there} cannot be written by this account; {advice}")


def _space(path: Path) -> Finding:
    there = next(each for each in (path, *path.parents) if each.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / (1 << 30):.1f} GiB free at {there}"
    if free < NO_SPACE_BYTES:
        return Finding("FAIL", "disk space", f"{text}; make room before the database stops")
    return Finding("warn" if free < LITTLE_SPACE_BYTES else "ok", "disk space", text)


def _running(settings: Settings) -> tuple[Settings | None, Finding]:
    try:
        running = find_running(settings)
    except RegistryError as error:
        return None, Finding("warn", "node", error.detail)
    process_id = holder(settings.data_dir)
    if running:
        return running, Finding("ok", "node", f"runs as process {process_id}")
    if process_id is not None:
        return None, Finding("warn", "node", f"process {process_id} is starting or stopping")
    return None, Finding("ok", "node", "does not run; start it with `idnode serve`")


def _listeners(settings: Settings, *, is_running: bool) -> Iterator[Finding]:
    for subject, endpoints, kinds in (
        ("HTTP", settings.http_listen, (socket.SOCK_STREAM,)),
        ("Handle protocol", settings.native_listen, (socket.SOCK_STREAM, socket.SOCK_DGRAM)),
        ("admin", settings.admin_listen, (socket.SOCK_STREAM,)),
    ):
        for endpoint in endpoints:
            yield _listener(subject, endpoint, kinds, is_running=is_running)


def _listener(
    subject: str, endpoint: Endpoint, kinds: tuple[int, ...], *, is_running: bool
) -> Finding:
    try:
        free = all(is_free(endpoint, kind) for kind in kinds)
    except RegistryError as error:
        return Finding("FAIL", subject, error.detail)
    if is_running:
        reason = f"{endpoint} is not listened on though the node runs; see its log"
        return (
            Finding("FAIL", subject, reason)
            if free
            else Finding("ok", subject, f"{endpoint} is served")
        )
    if free:
        return Finding("ok", subject, f"{endpoint} is free")
    advice = "stop it (`ss -lnp` shows which it is) or choose another address"
    return Finding("FAIL", subject, f"another process listens on {endpoint}; {advice}")


def _tls(settings: Settings) -> Finding:
    try:
        days = days_left(settings)
    except RegistryError as error:
        return Finding("FAIL", "TLS", error.detail)
    certificate, _ = files_of(settings)
    if days < 0:
        return Finding("FAIL", "TLS", f"the certificate in {certificate} is over; renew it")
    reason = f"the certificate in {certificate} lasts {days} days more"
    soon = days < SOON.days
    return Finding("warn" if soon else "ok", "TLS", f"{reason}; renew it" if soon else reason)


def _sync(files: CredentialFiles) -> Finding:
    """How the files stand with which we speak with the top-level node; their loss stops nothing but that."""
    if files.makes_key:
        return Finding("warn", "sync", f"{files.signing_key} will be made; hand its .pub over")
    try:
        end = files.load().certificate_end
    except CredentialsError as error:
        return Finding("warn", "sync", f"{error}")
    if end is None:
        return Finding("warn", "sync", "no certificate to show: see IDNODE_SYNC_CERTIFICATE")
    days = (end - datetime.now(UTC)).days
    reason = f"the certificate that the top-level node is shown lasts {days} days more"
    if days < 0:
        return Finding("warn", "sync", "our certificate has expired; have it renewed")
    return Finding("warn" if days < SOON.days else "ok", "sync", reason)


async def _postgres(settings: Settings, running: Settings | None) -> list[Finding]:
    url = settings.database_url or (running.database_url if running else "")
    if not url:
        return [_embedded("Postgres")]
    try:
        state = await inspect_database(url)
    except (StoreUnavailable, StoreError) as error:
        advice = "start it, or correct IDNODE_DATABASE_URL"
        return [Finding("FAIL", "Postgres", f"{error}; {advice}")]
    kind = "" if settings.database_url else ", embedded"
    findings = [Finding("ok", "Postgres", f"{state.server_version} answers{kind}")]
    if state.server_major < POSTGRES_MAJOR:
        findings = [
            Finding("FAIL", "Postgres", f"{state.server_version} is older than {POSTGRES_MAJOR}")
        ]
    if state.is_standby:
        findings.append(
            Finding("FAIL", "Postgres", "is a standby: give the address of the primary")
        )
    pending = ", ".join(f"{step.number:04d}" for step in state.pending)
    reason = f"steps {pending} are missing; `idnode migrate` applies them, and `idnode serve` does"
    findings.append(
        Finding("warn", "schema", reason) if pending else Finding("ok", "schema", "is up to date")
    )
    off = abs(state.skew_seconds)
    clock = f"{off:.1f} s away from Postgres's; keep both in step (NTP)"
    findings.append(
        Finding(
            "ok" if off < SKEW_SECONDS else "warn",
            "clock",
            clock if off >= SKEW_SECONDS else "agrees with Postgres's",
        )
    )
    return findings


async def _replica(primary_url: str, url: str) -> Finding:
    """How the read replica stands; while it cannot be used, the primary is read, and nothing else is wrong."""
    instead = "until then the primary is read"
    try:
        standing = await inspect_replica(primary_url, url)
    except (StoreUnavailable, StoreError) as error:
        return Finding("warn", "replica", f"{error}; {instead}")
    if not standing.is_same_database:
        advice = "is not a replica of IDNODE_DATABASE_URL; correct IDNODE_DATABASE_READ_URL"
        return Finding("FAIL", "replica", advice)
    if not standing.is_standby:
        advice = "was promoted: if it is the primary now, name it in IDNODE_DATABASE_URL"
        return Finding("warn", "replica", f"{advice}; {instead}")
    return Finding("ok", "replica", f"is a standby, {standing.behind} changes behind")


async def _redis(settings: Settings, running: Settings | None) -> list[Finding]:
    url = settings.redis_url or (running.redis_url if running else "")
    if not url:
        return [_embedded("Redis")]
    servers = redis_servers(url)
    silent = [error for each in servers if (error := await _refusal(each))]
    if len(silent) == len(servers):
        return [Finding("FAIL", "Redis", silent[0].detail)]
    found = "answers" if len(servers) == 1 else f"{len(servers) - len(silent)} named nodes answer"
    kind = "" if settings.redis_url else ", embedded"
    away = [Finding("warn", "Redis", error.detail) for error in silent]
    return [Finding("ok", "Redis", f"{found}{kind}"), *away]


async def _refusal(url: str) -> RegistryError | None:
    try:
        await ping_redis(url)
    except RegistryError as error:
        return error
    return None


def _embedded(server: str) -> Finding:
    try:
        find_programs()
    except RegistryError as error:
        return Finding("FAIL", server, error.detail)
    return Finding("ok", server, "embedded; `idnode serve` starts it")


def _descriptors(settings: Settings) -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < settings.connections_max:
        reason = (
            f"at most {hard} for a process, fewer than IDNODE_CONNECTIONS_MAX; raise `ulimit -Hn`"
        )
        return Finding("warn", "open files", reason)
    return Finding("ok", "open files", "enough for IDNODE_CONNECTIONS_MAX")


def _readiness(admin: Endpoint) -> Iterator[Finding]:
    try:
        connection = http.client.HTTPConnection(
            loopback_if_any(admin.host), admin.port, timeout=ADMIN_SECONDS
        )
        connection.request("GET", "/readyz")
        body = json.loads(connection.getresponse().read())
        connection.close()
        checks = [(each["name"], bool(each["ok"]), each["reason"]) for each in body["checks"]]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        yield Finding(
            "FAIL", "readiness", f"{admin} does not tell it ({error}); see the node's log"
        )
        return
    for name, ok, reason in checks:
        yield Finding("ok" if ok else "FAIL", f"node: {name}", reason)
