"""Readings: how the texts of settings become values; each raises ValueError with what the text must be."""

import os
import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from node.address import Endpoint, read_endpoints

MAX_WORKERS = 256
SELF_SIGNED = "self-signed"
_SECONDARY = re.compile(r"[0-9]{1,10}\.[0-9]{1,10}")
_ORIGIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?(/[A-Za-z0-9._~-]+)*")


TOPLEVEL_ENDPOINTS = 3


def one_worker_a_core() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(MAX_WORKERS, len(affinity(0)) if affinity else os.cpu_count() or 1)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        digits = text.strip().replace("_", "")
        if not digits.isascii() or not digits.isdigit() or not low <= int(digits) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(digits)

    return read


def worker_count(text: str) -> int:
    return whole_number(0, MAX_WORKERS)(text) or one_worker_a_core()


def true_or_false(text: str) -> bool:
    answers = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.strip().lower() not in answers:
        raise ValueError("must be true or false")
    return answers[text.strip().lower()]


def url_of(*schemes: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        stripped = text.strip()
        if stripped and stripped.partition("://")[0].lower() not in schemes:
            raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if not _has_readable_hosts(stripped):
            raise ValueError("must have a numeric port; percent-encode / : @ # in the password")
        return stripped

    return read


def _has_readable_hosts(url: str) -> bool:
    """True when each host (Postgres may have several) can be read, and the rest holds no end of a password."""
    try:
        parts = urlsplit(url)
        for host in parts.netloc.rpartition("@")[2].split(","):
            _ = urlsplit(f"//{host}").port
    except ValueError:  # its words may show a part of the password
        return False
    return parts.netloc == "" or "@" not in parts.path + parts.fragment


def directory(text: str) -> Path:
    if not text.strip():
        raise ValueError("must be the path of a directory")
    return Path(text.strip()).expanduser().absolute()


def account(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.-]*\$?", text.strip()):
        raise ValueError("must be the name of an account, such as nobody")
    return text.strip()


class Reading(NamedTuple):
    """What belongs to a setting besides its type: how its text is read, and its sentence.

    `read` raises ValueError with what the text must be.
    """

    read: Callable[[str], object]
    sentence: str


def file_path(text: str) -> Path | None:
    """Return the path of a file, or None."""
    return Path(text.strip()).expanduser().absolute() if text.strip() else None


def certificate(text: str) -> str:
    """Return `self-signed`, or the path of a file."""
    path = file_path(text)
    return text.strip() if text.strip() in ("", SELF_SIGNED) else str(path)


def identities(text: str) -> tuple[str, ...]:
    """Return names such as `300:88.118/ADMIN`, comma-separated; index 0 is any key of that handle."""
    found = tuple(each.strip() for each in text.split(",") if each.strip())
    for each in found:
        index, _, handle = each.partition(":")
        if not (index.isascii() and index.isdigit() and "/" in handle):
            raise ValueError("must be names such as 300:88.118/ADMIN, comma-separated")
    return found


def value_types(text: str) -> tuple[str, ...]:
    """Return types of values, comma-separated."""
    return tuple(each.strip().upper() for each in text.split(",") if each.strip())


def one_of(*words: str) -> Callable[[str], str]:
    """Return what reads one of these words."""

    def read(text: str) -> str:
        if text.strip().lower() not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text.strip().lower()

    return read


def networks(text: str) -> tuple[str, ...]:
    """Return networks such as `10.0.0.0/8`, comma-separated, each in its usual spelling."""
    try:
        return tuple(str(ip_network(each.strip())) for each in text.split(",") if each.strip())
    except ValueError:
        raise ValueError("must be networks such as 10.0.0.0/8 or 2001:db8::/32") from None


def origin_name(text: str) -> str:
    """Return the name of a log: a host name, and a path if wanted, without scheme."""
    name = text.strip()
    if name and not _ORIGIN.fullmatch(name):
        raise ValueError("must be a name such as id.example.cn/ledger, without https://")
    return name


def secondary_prefix(text: str) -> str:
    """Return a secondary node's prefix."""
    if not _SECONDARY.fullmatch(text.strip()):
        raise ValueError("must be the prefix of a secondary node, such as 88.118")
    return text.strip()


def https_url(text: str) -> str:
    """Return a URL that begins with https:// and names a host, or nothing."""
    url = url_of("https")(text)
    if url and not urlsplit(url).hostname:
        raise ValueError("must name a host, such as https://top.example:9650")
    return url


def three_endpoints(text: str) -> tuple[Endpoint, ...]:
    """Read exactly three of `host:port`; ValueError says what it must be."""
    found = read_endpoints(text)
    if len(found) != TOPLEVEL_ENDPOINTS:
        raise ValueError(
            "needs three of host:port: for HTTPS, for the page, for the Handle protocol"
        )
    return found
