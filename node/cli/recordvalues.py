"""The values that a command gives for a record: `--value INDEX:TYPE=DATA`, or Handle JSON from a file."""

import argparse
import re
from collections.abc import Sequence

from node.cli.access import check_identity
from node.cli.forms import read_json_file
from node.errors import Kind, RegistryError
from resolver.handlejson import HandleJsonError, values_from_json
from resolver.handlejson.fields import MAX_INDEX
from resolver.wire import AdminData, HandleValue, encode_admin

FIRST_ADMIN_INDEX = 100  # where Handle clients put administrators
ALL_RIGHTS = 0xFFF

_VALUE = re.compile(r"([0-9]{1,10}):([^=]+)=(.*)", re.DOTALL)
_SECRET, _STRUCTURED = "HS_SECKEY", ("HS_ADMIN", "HS_VLIST", "HS_SITE", "HS_PUBKEY")


def add_value_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that give values."""
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--value", action="append", metavar="INDEX:TYPE=DATA", help="a value of text; repeatable"
    )
    given.add_argument("--file", metavar="FILE", help="values as Handle JSON; - for standard input")


def read_values(arguments: argparse.Namespace) -> tuple[HandleValue, ...]:
    """Return the values that the options give.  Raises RegistryError."""
    if arguments.file is None:
        items: object = [_value(text) for text in arguments.value]
    else:
        items = _file(arguments.file)
    try:
        return values_from_json(items, now=0)
    except HandleJsonError as error:
        raise RegistryError(Kind.INVALID, str(error)) from error


def add_admin_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets somebody administer the record."""
    parser.add_argument(
        "--admin",
        metavar="INDEX:HANDLE",
        help="let this key change the record (an HS_ADMIN value with all rights)",
    )


def admin_value(identity: str, values: Sequence[HandleValue]) -> HandleValue:
    """Return the HS_ADMIN value for `index:handle`, at the first index from 100 on that is free."""
    index, _, handle = check_identity(identity, "--admin").partition(":")
    taken = {value.index for value in values}
    place = next(each for each in range(FIRST_ADMIN_INDEX, MAX_INDEX) if each not in taken)
    data = encode_admin(AdminData(ALL_RIGHTS, handle.encode(), int(index)))
    return HandleValue(place, b"HS_ADMIN", data)


def read_indexes(indexes: Sequence[int]) -> tuple[int, ...]:
    """Return the indexes of values, each once.  Raises RegistryError."""
    if any(not 1 <= index <= MAX_INDEX for index in indexes):
        raise RegistryError(Kind.INVALID, f"--index must be a number from 1 to {MAX_INDEX}")
    return tuple(dict.fromkeys(indexes))


def _value(text: str) -> dict[str, object]:
    found = _VALUE.fullmatch(text)
    if found is None:
        raise RegistryError(
            Kind.INVALID,
            f"--value {text}: must be INDEX:TYPE=DATA, such as 1:URL=https://example.cn",
        )
    kind = found[2].upper()
    if kind.startswith(_SECRET):
        raise RegistryError(
            Kind.INVALID, "a secret key on a command line can be seen by others; use --file"
        )
    if kind.startswith(_STRUCTURED):
        raise RegistryError(Kind.INVALID, f"{kind} is no text; give it as Handle JSON, with --file")
    return {"index": int(found[1]), "type": found[2], "data": found[3]}


def _file(name: str) -> object:
    """Return the list of values in a file: an array, an object that holds one, or one value."""
    content = read_json_file(name)
    return content.get("values", [content]) if isinstance(content, dict) else content
