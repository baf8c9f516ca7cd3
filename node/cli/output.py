"""Output: what a command found, as a table for people, JSON for programs, or CSV for spreadsheets.

Laws: nothing that was read from elsewhere can steer a terminal, nor be a formula in a spreadsheet.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_COLUMNS = 160  # the table's width where there is no terminal to measure
MAX_SHOWN_CHARACTERS = 2_000  # of one cell in a table; JSON and CSV have all of it

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Form(StrEnum):
    """In what form a command prints."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def add_output_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--output`."""
    parser.add_argument(
        "--output",
        type=Form,
        choices=list(Form),
        default=Form.TABLE,
        help="for people, programs or spreadsheets; default: table",
    )


def print_rows(
    form: Form, columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = ""
) -> None:
    """Print rows as a table or as CSV; the first column of a table is the one that is never folded."""
    if form is Form.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([no_formula(str(cell)) for cell in row] for row in rows)
        return
    table = Table(title=Text(plain(title)), title_justify="left", box=SIMPLE_HEAD)
    for place, name in enumerate(columns):
        table.add_column(name, overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*[Text(plain(shortened(str(cell)))) for cell in row])
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPED_COLUMNS).print(table)


def print_json(document: object) -> None:
    """Print a JSON document, indented."""
    print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def plain(text: str) -> str:
    """Return text that cannot steer a terminal: what cannot be printed is shown by its number."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def no_formula(text: str) -> str:
    """Return text that a spreadsheet takes for text: with an apostrophe in front where it could be a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def shortened(text: str) -> str:
    """Return text that fits into a table."""
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + " …"
