"""Config: the settings, read once at start.

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
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from node.address import Endpoint, PublicAddress
from node.errors import Kind, RegistryError
from node.reading import Reading
from node.settings import Settings

__all__ = ["Settings", "as_environment", "describe", "load", "shared_port"]

PREFIX = "IDNODE_"
CONFIG_VARIABLE = "IDNODE_CONFIG"
DEFAULT_FILE = "idnode.toml"
LISTEN_SETTINGS = ("http_listen", "native_listen", "admin_listen")

# Kubernetes gives every container variables such as IDNODE_SERVICE_HOST and IDNODE_PORT_8000_TCP_ADDR when a service is
# named "idnode"; IDNODE_TEST_… belongs to the test suite.  Neither is a misspelt setting.
_FOREIGN = re.compile(
    r"IDNODE_(TEST_\w+|(\w+_)?(SERVICE_(HOST|PORT)\w*|PORT(_\d+_(TCP|UDP|SCTP)\w*)?))"
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
