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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

from node.address import (
    Endpoint,
    PublicAddress,
    loopback_if_any,
    read_endpoints,
    read_public_address,
)
from node.errors import Kind, RegistryError
from node.reading import (
    Reading,
    account,
    certificate,
    directory,
    file_path,
    identities,
    one_of,
    one_worker_a_core,
    true_or_false,
    url_of,
    value_types,
    whole_number,
    worker_count,
)

PREFIX = "IDNODE_"
CONFIG_VARIABLE = "IDNODE_CONFIG"
DEFAULT_FILE = "idnode.toml"
LISTEN_SETTINGS = ("http_listen", "native_listen", "admin_listen")

# Kubernetes gives every container variables such as IDNODE_SERVICE_HOST and IDNODE_PORT_8000_TCP_ADDR when a service is
# named "idnode"; IDNODE_TEST_… belongs to the test suite.  Neither is a misspelt setting.
_FOREIGN = re.compile(
    r"IDNODE_(TEST_\w+|(\w+_)?(SERVICE_(HOST|PORT)\w*|PORT(_\d+_(TCP|UDP|SCTP)\w*)?))"
)


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
            directory,
            "Directory for keys, counters and the embedded servers' data; one running node each.",
        ),
    ] = field(default_factory=lambda: Path(".idnode").absolute())
    workers: Annotated[
        int, Reading(worker_count, "Number of worker processes; 0 means one a core.")
    ] = field(default_factory=one_worker_a_core)
    database_url: Annotated[
        str,
        Reading(
            url_of("postgresql", "postgres"),
            "Postgres to use, such as postgresql://user:password@host/idnode; empty starts an embedded one.",
        ),
    ] = ""
    redis_url: Annotated[
        str,
        Reading(
            url_of("redis", "rediss", "unix"),
            "Redis or Valkey to use, such as redis://host:6379/0; empty starts an embedded one.",
        ),
    ] = ""
    embedded_user: Annotated[
        str,
        Reading(
            account,
            "Account of the embedded servers when root starts the node; they do not run as root.",
        ),
    ] = "nobody"
    case_sensitive: Annotated[
        bool,
        Reading(
            true_or_false,
            "Whether the local part of a handle compares with regard to ASCII case; prefixes never do.",
        ),
    ] = False
    udp_max_datagrams: Annotated[
        int,
        Reading(
            whole_number(1, 64),
            "Longest UDP answer, in datagrams of 512 bytes; a longer one is left to TCP.",
        ),
    ] = 4
    udp_answers_per_second: Annotated[
        int,
        Reading(
            whole_number(0, 10_000_000),
            "UDP answers a second that one source address may draw from a worker; 0 means no limit.",
        ),
    ] = 1_000
    udp_answers_burst: Annotated[
        int,
        Reading(
            whole_number(1, 10_000_000),
            "UDP answers that one source address may draw at once, above its rate.",
        ),
    ] = 2_000
    connections_max: Annotated[
        int,
        Reading(
            whole_number(1, 1_000_000),
            "Open connections of one worker, HTTP and TCP together; more are refused.",
        ),
    ] = 10_000
    connections_per_source: Annotated[
        int,
        Reading(
            whole_number(1, 1_000_000),
            "Open connections of one worker from one source address; raise it behind a proxy.",
        ),
    ] = 1_000
    http_header_seconds: Annotated[
        int, Reading(whole_number(1, 3_600), "Seconds in which an HTTP request must have arrived.")
    ] = 10
    idle_seconds: Annotated[
        int,
        Reading(
            whole_number(1, 86_400), "Seconds after which an idle HTTP or TCP connection is closed."
        ),
    ] = 60
    hot_entries: Annotated[
        int, Reading(whole_number(0, 100_000_000), "Ready replies that one worker keeps in memory.")
    ] = 200_000
    memory_entries: Annotated[
        int,
        Reading(
            whole_number(0, 100_000_000), "Records that one worker keeps in memory behind those."
        ),
    ] = 20_000
    server_admins: Annotated[
        tuple[str, ...],
        Reading(
            identities,
            "Administrators of this server, who may do everything: names such as 300:88.118/ADMIN, comma-separated.",
        ),
    ] = ()
    tls_certificate: Annotated[
        str,
        Reading(
            certificate,
            "Certificate chain (PEM) with which the HTTP listeners speak TLS; self-signed makes one for development, "
            "empty means plain HTTP.",
        ),
    ] = ""
    tls_key: Annotated[
        Path | None,
        Reading(
            file_path, "Private key (PEM) of that certificate; empty when the same file holds both."
        ),
    ] = None
    allow_cleartext_login: Annotated[
        bool,
        Reading(
            true_or_false,
            "Take passwords and tokens over plain HTTP from other machines too, not from this one alone; for networks "
            "that nobody else can read.",
        ),
    ] = False
    allow_weak_algorithms: Annotated[
        bool,
        Reading(
            true_or_false,
            "Take proofs made with MD5 or plain SHA-1 digests of secret keys, for clients that know nothing better.",
        ),
    ] = False
    native_profile: Annotated[
        str,
        Reading(
            one_of("auto", "handle", "login"),
            "How native clients are treated: handle (challenges), login (log in once a connection), or auto, by what "
            "each says of itself.",
        ),
    ] = "auto"
    session_seconds: Annotated[
        int,
        Reading(whole_number(60, 86_400), "Seconds after which a session that is not used ends."),
    ] = 1_800
    sealing_key: Annotated[
        Path | None,
        Reading(
            file_path,
            "File of the key that seals secret keys in the database; made in the data directory when empty. All "
            "machines on one database need the same.",
        ),
    ] = None
    reverse_types: Annotated[
        tuple[str, ...],
        Reading(
            value_types,
            "Types of the values that reverse look-up finds, comma-separated; * means all but HS_ ones, empty none.",
        ),
    ] = ("*",)

    @property
    def seal_path(self) -> Path:
        """The file of the key that seals secrets."""
        return self.sealing_key or self.data_dir / "sealing.key"

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
