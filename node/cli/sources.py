"""`idnode audit sources`: who asked on a day, from the database itself; for who runs the node."""

import argparse
import asyncio
from collections.abc import Sequence
from datetime import date

from node import config
from node.cli.output import Form, add_output_argument, print_json, print_rows
from node.errors import Kind, RegistryError
from node.process.running import with_servers
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.sources import Listed, list_sources

WORD = "sources"
MAX_LISTED = 100_000  # all that a day has


def add_words(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the word."""
    listed = words.add_parser(WORD, help="who asked on a day: networks, requests and successes")
    listed.add_argument("day", type=_day, metavar="DAY", help="such as 2026-11-03")
    listed.add_argument("--prefix", help="of this registered prefix alone; '' of none")
    listed.add_argument(
        "--full", action="store_true", help="addresses, which are personal data, not networks"
    )
    listed.add_argument("--after", type=int, default=0, metavar="N", help="without the first N")
    listed.add_argument(
        "--limit", type=int, default=MAX_LISTED, metavar="N", help="so many at most"
    )
    add_output_argument(listed)


def run(arguments: argparse.Namespace) -> int:
    """Print the list.  Raises RegistryError."""
    if arguments.after < 0 or not 1 <= arguments.limit <= MAX_LISTED:
        raise RegistryError(
            Kind.INVALID, f"--limit is from 1 to {MAX_LISTED}, --after not below 0."
        )
    rows = asyncio.run(_read(arguments))
    if arguments.output is Form.JSON:
        print_json([row._asdict() for row in rows])
    else:
        print_rows(arguments.output, Listed._fields, rows)
    return 0


async def _read(arguments: argparse.Namespace) -> Sequence[Listed]:
    settings = with_servers(config.load())
    try:
        async with (
            Database(settings.database_url, max_connections=1) as database,
            database.connection() as connection,
        ):
            return await list_sources(
                connection,
                arguments.day,
                arguments.prefix,
                full=arguments.full,
                skip=arguments.after,
                most=arguments.limit,
            )
    except (StoreUnavailable, StoreError) as error:
        raise RegistryError(Kind.UNAVAILABLE, f"{error}; `idnode check` says more.") from error


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a day is such as 2026-11-03, not {text}") from error
