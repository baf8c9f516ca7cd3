"""Settings: every knob of the node, read once at start.

A setting `http_listen` is the variable `IDNODE_HTTP_LISTEN`, or the line `http_listen = …` of a TOML file: the one that
`IDNODE_CONFIG` names, else `idnode.toml` in the working directory if there is one.  The environment wins over the file.
Both spell values the same way: a TOML list is the comma-separated text of the variable.  Nothing else is read.

Law: `load(as_environment(settings)) == settings`; that is how the supervisor hands its settings to its workers.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints
from urllib.parse import urlsplit

from node.address import (
    Endpoint,
    PublicAddress,
    loopback_if_any,
    read_endpoints,
    read_public_address,
)
from node.errors import Kind, RegistryError

PREFIX = "IDNODE_"
CONFIG_VARIABLE = "IDNODE_CONFIG"
DEFAULT_FILE = "idnode.toml"
MAX_WORKERS = 256
LISTEN_SETTINGS = ("http_listen", "native_listen", "admin_listen")

# Kubernetes gives every container variables such as IDNODE_SERVICE_HOST and IDNODE_PORT_8000_TCP_ADDR when a service is
# named "idnode"; IDNODE_TEST_… belongs to the test suite.  Neither is a misspelt setting.
_FOREIGN = re.compile(
    r"IDNODE_(TEST_\w+|(\w+_)?(SERVICE_(HOST|PORT)\w*|PORT(_\d+_(TCP|UDP|SCTP)\w*)?))"
)


def one_worker_a_core() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(MAX_WORKERS, len(affinity(0)) if affinity else os.cpu_count() or 1)


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        digits = text.strip().replace("_", "")
        if not digits.isascii() or not digits.isdigit() or not low <= int(digits) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(digits)

    return read


def _workers(text: str) -> int:
    return _number(0, MAX_WORKERS)(text) or one_worker_a_core()


def _flag(text: str) -> bool:
    answers = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.strip().lower() not in answers:
        raise ValueError("must be true or false")
    return answers[text.strip().lower()]


def _url(*schemes: str) -> Callable[[str], str]:
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


def _directory(text: str) -> Path:
    if not text.strip():
        raise ValueError("must be the path of a directory")
    return Path(text.strip()).expanduser().absolute()


def _account(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.-]*\$?", text.strip()):
        raise ValueError("must be the name of an account, such as nobody")
    return text.strip()


class Reading(NamedTuple):
    """What belongs to a setting besides its type: how its text is read, and its sentence.

    `read` raises ValueError with what the text must be.
    """

    read: Callable[[str], object]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings.  Each has a default that works; `describe()` lists them for `idnode serve --help`."""

    http_listen: Annotated[
        tuple[Endpoint, ...], Reading(read_endpoints, "Addresses for HTTP, comma-separated.")
    ] = (Endpoint("127.0.0.1", 8000),)
    native_listen: Annotated[
        tuple[Endpoint, ...],
        Reading(
            read_endpoints,
            "Addresses for the Handle protocol, UDP and TCP. List each address of a machine that has several: a UDP "
            "answer leaves from the address that was listened on.",
        ),
    ] = (Endpoint("127.0.0.1", 2641),)
    admin_listen: Annotated[
        tuple[Endpoint, ...],
        Reading(
            read_endpoints, "Addresses for metrics, health and administration; keep them private."
        ),
    ] = (Endpoint("127.0.0.1", 9640),)
    public_address: Annotated[
        PublicAddress | None,
        Reading(
            read_public_address,
            "What our HS_SITE tells clients to connect to: IP address, native port and HTTP port, such as "
            "203.0.113.7:2641:80; the listeners' own when empty or left out.",
        ),
    ] = None
    data_dir: Annotated[
        Path,
        Reading(
            _directory,
            "Directory for keys, counters and the embedded servers' data; one running node each.",
        ),
    ] = field(default_factory=lambda: Path(".idnode").absolute())
    workers: Annotated[
        int, Reading(_workers, "Number of worker processes; 0 means one a core.")
    ] = field(default_factory=one_worker_a_core)
    database_url: Annotated[
        str,
        Reading(
            _url("postgresql", "postgres"),
            "Postgres to use, such as postgresql://user:password@host/idnode; empty starts an embedded one.",
        ),
    ] = ""
    redis_url: Annotated[
        str,
        Reading(
            _url("redis", "rediss", "unix"),
            "Redis or Valkey to use, such as redis://host:6379/0; empty starts an embedded one.",
        ),
    ] = ""
    embedded_user: Annotated[
        str,
        Reading(
            _account,
            "Account of the embedded servers when root starts the node; they do not run as root.",
        ),
    ] = "nobody"
    case_sensitive: Annotated[
        bool,
        Reading(
            _flag,
            "Whether the local part of a handle compares with regard to ASCII case; prefixes never do.",
        ),
    ] = False
    udp_max_datagrams: Annotated[
        int,
        Reading(
            _number(1, 64),
            "Longest UDP answer, in datagrams of 512 bytes; a longer one is left to TCP.",
        ),
    ] = 4
    udp_answers_per_second: Annotated[
        int,
        Reading(
            _number(0, 10_000_000),
            "UDP answers a second that one source address may draw from a worker; 0 means no limit.",
        ),
    ] = 1_000
    udp_answers_burst: Annotated[
        int,
        Reading(
            _number(1, 10_000_000),
            "UDP answers that one source address may draw at once, above its rate.",
        ),
    ] = 2_000
    connections_max: Annotated[
        int,
        Reading(
            _number(1, 1_000_000),
            "Open connections of one worker, HTTP and TCP together; more are refused.",
        ),
    ] = 10_000
    connections_per_source: Annotated[
        int,
        Reading(
            _number(1, 1_000_000),
            "Open connections of one worker from one source address; raise it behind a proxy.",
        ),
    ] = 1_000
    http_header_seconds: Annotated[
        int, Reading(_number(1, 3_600), "Seconds in which an HTTP request must have arrived.")
    ] = 10
    idle_seconds: Annotated[
        int,
        Reading(
            _number(1, 86_400), "Seconds after which an idle HTTP or TCP connection is closed."
        ),
    ] = 60
    hot_entries: Annotated[
        int, Reading(_number(0, 100_000_000), "Ready replies that one worker keeps in memory.")
    ] = 200_000
    memory_entries: Annotated[
        int,
        Reading(_number(0, 100_000_000), "Records that one worker keeps in memory behind those."),
    ] = 20_000

    @property
    def announced(self) -> PublicAddress:
        """What our HS_SITE says: the public address, filled up from the first listeners.

        A listener on all addresses does not know what the world calls it; it announces the loopback address.
        """
        given = self.public_address or PublicAddress(self.native_listen[0].host, 0, 0)
        return PublicAddress(
            loopback_if_any(given.host),
            given.native_port or self.native_listen[0].port,
            given.http_port or self.http_listen[0].port,
        )


class Description(NamedTuple):
    """One setting as the help shows it: variable, default in its textual form, sentence."""

    variable: str
    default: str
    sentence: str


def describe() -> tuple[Description, ...]:
    """Return all settings in the order of their declaration."""
    plain = {"data_dir": ".idnode", "workers": "0"}  # their true defaults depend on where we run
    return tuple(
        Description(_variable(name), plain.get(name) or _write(default), reading.sentence)
        for (name, reading), default in zip(_READINGS.items(), _values(Settings()), strict=True)
    )


def load(environment: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Read the settings from the environment, over the TOML file (looked for in `directory`, or the working one).

    Raises RegistryError (MISCONFIGURED) that names the setting, where it was set, and what it must be.
    """
    given = os.environ if environment is None else environment
    origin = {name: (value, f"in {path}") for path, name, value in _from_file(given, directory)}
    for variable, value in given.items():
        if variable.startswith(PREFIX) and variable != CONFIG_VARIABLE:
            name = variable.removeprefix(PREFIX).lower()
            if name in _READINGS:
                origin[name] = (value, "in the environment")
            elif not _FOREIGN.fullmatch(variable):
                raise _unknown(variable, "the environment")
    values: dict[str, Any] = {name: _read(name, *value) for name, value in origin.items()}
    settings = Settings(**values)
    _refuse_shared_ports(settings)
    return settings


def as_environment(settings: Settings) -> dict[str, str]:
    """Return the variables from which `load` makes the same settings, whatever files there are."""
    written = zip(map(_variable, _READINGS), map(_write, _values(settings)), strict=True)
    return {CONFIG_VARIABLE: os.devnull, **dict(written)}


_READINGS: dict[str, Reading] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Settings, include_extras=True).items()
}


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _values(settings: Settings) -> list[object]:
    return [getattr(settings, name) for name in _READINGS]


def _write(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple) and not isinstance(value, PublicAddress):
        return ",".join(str(each) for each in value)
    return str(value)


def _read(name: str, text: str, where: str) -> object:
    try:
        return _READINGS[name].read(text)
    except ValueError as error:
        shown = "something else" if name.endswith("_url") else repr(text)  # URLs carry passwords
        detail = f"{_variable(name)} {error}; {where} it is {shown}."
        raise RegistryError(Kind.MISCONFIGURED, detail) from None


def _from_file(
    environment: Mapping[str, str], directory: Path | None
) -> list[tuple[Path, str, str]]:
    named = environment.get(CONFIG_VARIABLE, "")
    path = Path(named) if named else (directory or Path.cwd()) / DEFAULT_FILE
    if not named and not path.exists():
        return []
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RegistryError(
            Kind.MISCONFIGURED, f"Cannot read the settings file {path}: {error.strerror}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RegistryError(Kind.MISCONFIGURED, f"{path} is not valid TOML: {error}.") from error
    return [(path, name, _toml_text(path, name, value)) for name, value in table.items()]


def _toml_text(path: Path, name: str, value: object) -> str:
    if name not in _READINGS:
        raise _unknown(name, str(path))
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | int) for item in items):
        raise RegistryError(
            Kind.MISCONFIGURED,
            f"{name} in {path} must be a text, a whole number, true or false, or a list of those.",
        )
    return ",".join(_write(item) for item in items)


def _unknown(given: str, where: str) -> RegistryError:
    near = difflib.get_close_matches(given.removeprefix(PREFIX).lower(), _READINGS, n=1)
    meant = _variable(near[0]) if near and given.startswith(PREFIX) else "".join(near)
    advice = f"did you mean {meant}?" if near else "`idnode serve --help` lists the settings."
    return RegistryError(
        Kind.MISCONFIGURED, f"There is no setting {given} (set in {where}); {advice}"
    )


def _refuse_shared_ports(settings: Settings) -> None:
    seen: dict[Endpoint, str] = {}
    for name in LISTEN_SETTINGS:
        for endpoint in getattr(settings, name):
            for other in seen:
                if endpoint.port and endpoint.overlaps(other):
                    raise shared_port(name, str(endpoint), seen[other], str(other))
            seen[endpoint] = name


def shared_port(name: str, endpoint: str, other_name: str, other: str) -> RegistryError:
    """Say that two listen settings (their names, and what they give) would listen on the same address and port."""
    taken = "" if endpoint == other else f" as {other}"
    return RegistryError(
        Kind.MISCONFIGURED,
        f"{_variable(name)} gives {endpoint}, which {_variable(other_name)} already has{taken}; choose another port.",
    )
