"""`idnode bulk export` and `verify`: records written to a file with a manifest beside it, and such a file checked."""

import argparse
import hashlib
import os
import time
from io import BufferedWriter
from pathlib import Path

from node.config import Settings
from node.errors import Kind, RegistryError
from node.registry.exports import Exporter, Wanted
from node.registry.loadfile import LoadFormat
from node.registry.manifests import (
    MAX_MANIFEST_BYTES,
    SUFFIX,
    BadManifest,
    Manifest,
    decode_manifest,
)
from node.store.exports import snapshot
from resolver.identifier import PREFIX_HANDLE, IdentifierError
from resolver.schemes import parse_handle

FOUND_FAULTS = 1
_DRAFT = ".part"
_FILE_MODE = 0o600  # it may hold what not everybody may read


async def run_export(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write the export and its manifest.  Raises RegistryError, StoreUnavailable, StoreError."""
    path: Path = arguments.file
    named = LoadFormat.CSV if path.suffix.lower() == ".csv" else LoadFormat.NDJSON
    wanted = Wanted(
        prefix=_prefix(arguments.prefix) if arguments.prefix else None,
        format=arguments.format or named,
        public_only=arguments.public_only,
        case_sensitive=settings.case_sensitive,
    )
    try:
        manifest = await _write(settings.database_url, wanted, path)
    except FileExistsError as error:
        advice = "choose another name"
        if str(error.filename).endswith(_DRAFT):
            advice = "an export to this name runs, or was cut off: wait for it, or remove that file"
        raise RegistryError(
            Kind.CONFLICT, f"{error.filename} is there already; {advice}."
        ) from error
    except OSError as error:
        raise RegistryError(Kind.FORBIDDEN, f"Cannot write {path}: {error.strerror}.") from error
    print(
        f"{manifest.records} records at serial {manifest.serial};"
        f" {manifest.withheld} secrets withheld, {manifest.left_out} records left out."
    )
    return 0


def run_verify(path: Path) -> int:
    """Compare an export with its manifest, and say whether it is what it was.  Raises RegistryError."""
    beside = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
    manifest = _read_manifest(beside)
    file = beside.with_name(Path(manifest.name).name)
    found = _digest(file)
    if found != manifest.sha256:
        print(f"{file} is not what was exported: its SHA-256 is {found}, not {manifest.sha256}.")
        return FOUND_FAULTS
    print(f"{file} is as it was exported: {manifest.records} records at serial {manifest.serial}.")
    return 0


async def _write(dsn: str, wanted: Wanted, path: Path) -> Manifest:
    """Write a draft and the manifest, and rename the draft.  A draft that is there is another export's, and stays."""
    draft = path.with_name(path.name + _DRAFT)
    _refuse_existing(path)
    with _create(draft) as out:
        try:
            async with snapshot(dsn) as state:
                exporter = Exporter(state, wanted)
                async for block in exporter.blocks():
                    out.write(block)
            out.flush()
            os.fsync(out.fileno())
            manifest = exporter.manifest(path.name, int(time.time()))
            with _create(path.with_name(path.name + SUFFIX)) as beside:
                beside.write(manifest.encode())
            draft.rename(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    return manifest


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise FileExistsError(0, "", str(path))


def _create(path: Path) -> BufferedWriter:
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, _FILE_MODE))


def _prefix(name: str) -> bytes:
    given = name.encode()
    if not given.upper().startswith(PREFIX_HANDLE):
        given = PREFIX_HANDLE + given
    try:
        return parse_handle(given, case_sensitive=False).prefixes[0]
    except IdentifierError as error:
        raise RegistryError(Kind.INVALID, f"{name} is no prefix: {error}.") from error


def _read_manifest(path: Path) -> Manifest:
    try:
        with path.open("rb") as file:
            return decode_manifest(file.read(MAX_MANIFEST_BYTES))
    except OSError as error:
        raise RegistryError(Kind.NOT_FOUND, f"Cannot read {path}: {error.strerror}.") from error
    except BadManifest as error:
        raise RegistryError(Kind.INVALID, f"{path} is no manifest: {error}.") from error


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RegistryError(Kind.NOT_FOUND, f"Cannot read {path}: {error.strerror}.") from error
