"""`idnode sync`: how the node stands with the national top-level node, and what an operator can do about it."""

import argparse
from collections.abc import Sequence
from typing import cast
from urllib.parse import quote

from node.cli.output import Form, print_json, print_rows
from node.cli.words import Word, add_words, run_word
from resolver.client import Client

ROOT = "/v1/sync"
PAGE = 1_000  # rejected rows asked for at once
LIVE = (
    ("state", "state"),
    ("reason", "reason"),
    ("peer", "top-level node"),
    ("node_prefix", "our prefix"),
    ("session", "session"),
    ("serial", "newest serial"),
    ("acknowledged", "acknowledged serial"),
    ("acknowledged_at", "acknowledged at"),
    ("complete", "peer has all rows"),
    ("answered_at", "last answer"),
    ("heartbeat_at", "last heartbeat"),
    ("failures", "failures in a row"),
    ("clock_skew_seconds", "its clock is ahead by (s)"),
    ("clock_uncertain_seconds", "give or take (s)"),
    ("certificate_end", "our certificate expires"),
    ("signing_key", "our signing key"),
)
TABLE_COLUMNS = ("table", "name", "pending", "lag_seconds", "rejected")
REJECTED_COLUMNS = ("table", "key", "code", "reason", "serial", "at")
DIGEST_COLUMNS = ("table", "rows", "sha256")

_EPILOG = """\
examples:
  idnode sync status
  idnode sync rejected --table 6
  idnode sync retry --table 6 --key 91500000MA5UABCD1X
  idnode sync verify
  idnode sync report --month 2026-11 --output json

A row that was rejected is sent again by itself when it is corrected; `retry` is for when the
reason has gone away at the other end.  `snapshot` begins a new session: after this node's database
was restored from a backup.

exit codes:
  0  done
  2  wrong use
  4  this instance does not send now: another one does, or something is missing; status says what
  5  not allowed
  7  no answer, or the server is busy or at fault
"""

REPORTED = (
    ("month", "month"),
    ("node_prefix", "our prefix"),
    ("complete", "month is over"),
    ("sla_mean", "SLA, mean of six months (%)"),
    ("registration_rtt_ms", "registration RTT (ms)"),
    ("resolution_rtt_ms", "resolution RTT (ms)"),
    ("registration_effective_hours", "from grant to resolvable (h)"),
    ("uptime_hours", "uptime (h)"),
)
SLA_COLUMNS = ("month", "percent")
STOP_COLUMNS = ("from", "to", "hours")
EMERGENCY_COLUMNS = ("event", "from", "to", "cause_class", "cause", "cure")

Json = dict[str, object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    add_words(parser, WORDS, _EPILOG)


def run(arguments: argparse.Namespace) -> int:
    """Carry it out and return 0.  Raises RegistryError for everything else."""
    return run_word(arguments, WORDS)


def _none(_parser: argparse.ArgumentParser) -> None:
    """The word takes no arguments of its own."""


def _add_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--table", default="", metavar="N", help="of this table alone: 1 to 11, M1, M2, E"
    )


def _add_table_and_key(parser: argparse.ArgumentParser) -> None:
    _add_table(parser)
    parser.add_argument("--key", default="", metavar="KEY", help="the row with this key alone")


def _add_month(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--month", required=True, metavar="YYYY-MM", help="a month in China, such as 2026-11"
    )


async def _status(arguments: argparse.Namespace, client: Client) -> None:
    found = await _get(client, ROOT)
    if arguments.output is Form.JSON:
        print_json(found)
        return
    tables = _rows(found, "tables")
    if arguments.output is Form.CSV:
        print_rows(Form.CSV, TABLE_COLUMNS, _cells(tables, TABLE_COLUMNS))
        return
    said = [(title, _cell(found[name])) for name, title in LIVE if name in found]
    print_rows(Form.TABLE, ("", ""), said)
    print_rows(Form.TABLE, TABLE_COLUMNS, _cells(tables, TABLE_COLUMNS))
    _print_verified(found.get("verified"))


def _print_verified(found: object) -> None:
    if not isinstance(found, dict):
        print("The rows have not been compared yet.")
        return
    title = (
        f"Compared {found['at']}: {found['pages']} pages, {found['repaired']} of them repaired;"
        f" serials {found['serial_from']} to {found['serial_to']}"
    )
    rows = _cells(_rows(found, "digests"), DIGEST_COLUMNS)
    print_rows(Form.TABLE, DIGEST_COLUMNS, rows, title=title)


async def _rejected(arguments: argparse.Namespace, client: Client) -> None:
    query = {"table": arguments.table, "limit": str(PAGE)}
    rows: list[Json] = []
    while True:
        found = await _get(client, f"{ROOT}/rejected", **query)
        rows += _rows(found, "rejected")
        if "after" not in found:
            break
        query["after"] = str(found["after"])
    if arguments.output is Form.JSON:
        print_json(rows)
    else:
        print_rows(arguments.output, REJECTED_COLUMNS, _cells(rows, REJECTED_COLUMNS))


async def _retry(arguments: argparse.Namespace, client: Client) -> None:
    query = {"table": arguments.table, "key": arguments.key}
    found = await _post(client, f"{ROOT}/retry", **query)
    _tell(arguments, found, f"{found['sent']} rows are sent once more.")


async def _verify(arguments: argparse.Namespace, client: Client) -> None:
    found = await _post(client, f"{ROOT}/verify")
    _tell(arguments, found, "All rows are compared now; `idnode sync status` shows what was found.")


async def _snapshot(arguments: argparse.Namespace, client: Client) -> None:
    found = await _post(client, f"{ROOT}/snapshot")
    _tell(arguments, found, f"Session {found['session']} begins, and all rows are compared.")


async def _report(arguments: argparse.Namespace, client: Client) -> None:
    found = await _get(client, f"{ROOT}/reports/{quote(arguments.month, safe='')}")
    if arguments.output is Form.JSON:
        print_json(found)
        return
    said = [(title, _figures(found[name])) for name, title in REPORTED]
    print_rows(arguments.output, ("", ""), said)
    parts = (
        ("sla", SLA_COLUMNS),
        ("maintenance", STOP_COLUMNS),
        ("emergencies", EMERGENCY_COLUMNS),
    )
    for name, columns in parts:
        rows = _cells(_rows(found, name), columns)
        print_rows(arguments.output, columns, rows, title=name)


def _figures(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join([f"{name} {each}" for name, each in value.items()])
    return _cell(value)


def _tell(arguments: argparse.Namespace, found: Json, sentence: str) -> None:
    if arguments.output is Form.JSON:
        print_json(found)
    else:
        print(sentence)


async def _get(client: Client, path: str, **query: str) -> Json:
    return (await client.document("GET", path, query=_pairs(query))).content


async def _post(client: Client, path: str, **query: str) -> Json:
    return (await client.document("POST", path, query=_pairs(query))).content


def _pairs(query: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in query.items() if text)


def _rows(found: Json, name: str) -> list[Json]:
    return cast("list[Json]", found[name])


def _cells(rows: Sequence[Json], columns: Sequence[str]) -> list[list[str]]:
    return [[_cell(row[name]) for name in columns] for row in rows]


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


WORDS = (
    Word("status", "how it stands, table by table", _none, _status),
    Word("rejected", "rows that the top-level node did not take, and why", _add_table, _rejected),
    Word(
        "retry", "send rows that were not taken once more, as they are", _add_table_and_key, _retry
    ),
    Word("verify", "compare all rows with the top-level node's now", _none, _verify),
    Word("snapshot", "begin a new session, after a restored backup", _none, _snapshot),
    Word("report", "the figures of a month, as annex 3 asks for them", _add_month, _report),
)
