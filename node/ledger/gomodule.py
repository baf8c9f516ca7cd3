"""Files as a Go module: a zip, what its checksum is, and the two lines that a checksum database has of it.

The stock `go` command fetches, unpacks and verifies such a module; there is no Go in it.  The checksum `h1:` is that of
golang.org/x/mod/sumdb/dirhash: SHA-256 over a line for each file, sorted, as sha256sum prints them, in base64.  It does
not depend on how the zip was packed.
"""

import io
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

MAX_ZIP_BYTES = 500 * 2**20  # what the go command takes, unpacked

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\.[a-z0-9-]*[a-z0-9]")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class ModuleError(ValueError):
    """Something cannot be a module; the text says what."""


def module_of(origin: str) -> str:
    """Return the module that the days of a log are published as: `log.example/ledger` -> `log.example/evidence`.

    Go wants a host with a dot; one without gets `.invalid` behind it.  Raises ModuleError.
    """
    host = origin.partition("/")[0].partition(":")[0].lower()
    host = host if "." in host else f"{host}.invalid"
    if not _HOST.fullmatch(host):
        raise ModuleError(f"the origin {origin} does not begin with the name of a host")
    return f"{host}/evidence"


def version_of(day: str, issue: int = 0) -> str:
    """Return the version of a day, `2026-11-03`: v0.20261103.0."""
    return f"v0.{day.replace('-', '')}.{issue}"


def pack(module: str, version: str, files: Mapping[str, bytes]) -> bytes:
    """Return the zip.  Raises ModuleError for names or an amount that the go command refuses."""
    if sum(map(len, files.values())) > MAX_ZIP_BYTES:
        raise ModuleError(f"a module has at most {MAX_ZIP_BYTES} bytes")
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for name in sorted(files):
            if not _FILE.fullmatch(name):
                raise ModuleError(f"a module has no file {name!r}")
            archive.writestr(
                ZipInfo(f"{module}@{version}/{name}", _ZIP_TIME), files[name], ZIP_DEFLATED
            )
    return packed.getvalue()


def unpack(module: str, version: str, packed: bytes) -> dict[str, bytes]:
    """Return the files of a zip.  Raises ModuleError when it is none of this module."""
    top = f"{module}@{version}/"
    try:
        with ZipFile(io.BytesIO(packed)) as archive:
            names = archive.namelist()
            if not all(name.startswith(top) for name in names):
                raise ModuleError(f"the zip is not that of {module}@{version}")
            return {name.removeprefix(top): archive.read(name) for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise ModuleError(f"the zip of {module}@{version} cannot be read: {error}") from error


def mod_file(module: str) -> bytes:
    """Return the go.mod."""
    return f"module {module}\n".encode()


def record(module: str, version: str, files: Mapping[str, bytes]) -> bytes:
    """Return the two lines of go.sum: what the database commits to."""
    whole = _h1({f"{module}@{version}/{name}": data for name, data in files.items()})
    alone = _h1({"go.mod": mod_file(module)})
    return f"{module} {version} {whole}\n{module} {version}/go.mod {alone}\n".encode()


def sums(files: Mapping[str, bytes]) -> bytes:
    """Return what sha256sum prints of files, and checks with -c."""
    return "".join(
        f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)
    ).encode()


def _h1(files: Mapping[str, bytes]) -> str:
    return "h1:" + b64encode(sha256(sums(files)).digest()).decode()
