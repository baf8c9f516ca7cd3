"""Forms: what a command hands in as JSON, from a file or from standard input."""

import argparse
import sys
from pathlib import Path

import orjson

from node.errors import Kind, RegistryError

STANDARD_INPUT = "-"
MAX_FILE_BYTES = 16 * 1024 * 1024


def read_json_file(name: str) -> object:
    """Return the JSON of a file; `-` is standard input.  Raises RegistryError."""
    try:
        if name == STANDARD_INPUT:
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RegistryError(Kind.INVALID, f"{name} cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise RegistryError(Kind.INVALID, f"{name} is longer than {MAX_FILE_BYTES} bytes")
    try:
        found: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RegistryError(Kind.INVALID, f"{name} is no JSON: {error}") from error
    return found


def add_form_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the operand that names the file of a form."""
    parser.add_argument("file", metavar="FILE", help=f"{what}, as JSON; - for standard input")
