"""Run a whole node over two midnights, by a clock that is shifted for all processes, and compare what all counted.

    python -m tests.support.judge_midnights

Postgres, `idnode toplevel` and `idnode serve` (supervisor, keeper, two workers) are started a minute and a half before
midnight in Shanghai, asked over UDP, TCP and HTTP before it and after, and run until the day is closed, sent in 表3 and
表8, and acknowledged.  Then all of them are stopped, and started again shortly before the next midnight.  Of each day:
what the clients were answered, the leaf in the log, the day's file, and the rows that the top-level node holds are the
same figures, by prefix and by address; the top-level node has cosigned the newest tree and every head that is kept; and
`idnode audit verify` says so of the evidence alone.  It takes about twelve minutes: the node waits two minutes after a
midnight, and looks once a minute, by a clock that nobody shifts.
"""

import json
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import Any

from loadtest.stand import open_stand
from loadtest.verdict import conclude, say
from node.ledger.checkpoint import Checkpoint
from node.ledger.evidence import Edition, export_evidence
from node.ledger.inbox import ask
from node.ledger.keys import VerifierKey
from node.ledger.leaf import Acknowledgement, Day, Leaf, parse
from node.ledger.logfiles import HEADS, KEYS, LogFiles
from node.ledger.note import Note
from node.ledger.signing import PUBLIC
from tests.support.day_clients import Counted, DayClients
from tests.support.day_stage import ASKED, ENTERPRISE, DayStage, until
from tests.support.servers import temporary_postgres
from tests.support.shifted_clock import NoCompiler, ShiftedClock, day_of, end_of

LEADS = (
    90.0,
    45.0,
)  # seconds before a midnight at which everything is started: the first time it is also settled
AFTER_SECONDS = 15.0  # for which is asked after midnight
CLOSED_SECONDS = 900.0
COSIGNED_SECONDS = 90.0


def main() -> int:
    """Return 1 when something does not hold, or there is no C compiler."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    with tempfile.TemporaryDirectory(prefix="idnode-pg-", dir="/tmp") as name, ExitStack() as stack:
        home = Path(name)
        home.chmod(0o755)
        (home / "pg").mkdir()
        try:
            clock = ShiftedClock(home)
        except NoCompiler as error:
            return conclude([str(error)])
        first = days_from(day_of(clock.now()))
        clock.set_before(first, LEADS[0])
        with clock.environment():
            server = stack.enter_context(temporary_postgres(home / "pg"))
        stand = stack.enter_context(open_stand())
        faults = list(_judge(DayStage(stand, server, clock), clock, first))
    return conclude(faults, "clients, ledger, 表3 and 表8 have one count of each day, acknowledged")


def days_from(today: date) -> date:
    """Return the first day to judge, so that all that is asked lies in one month: evidence is exported by the month."""
    last = today + timedelta(days=len(LEADS))  # the day after the last midnight is asked in, too
    return today if last.month == today.month else last.replace(day=1)


def _judge(stage: DayStage, clock: ShiftedClock, first: date) -> Iterator[str]:
    clients = DayClients(stage.node.native, stage.node.http, clock)
    for number, lead in enumerate(LEADS):
        day = first + timedelta(days=number)
        if number:
            stage.stop()
            clock.set_before(day, lead)
            stage.start()
        answered = clients.ask(ASKED, end_of(day) + AFTER_SECONDS)
        _close(stage, day, answered)
        yield from _compare(stage, day, clients.given[day])
    yield from _witnessed(stage)
    yield from _verified(stage, first)


def _close(stage: DayStage, day: date, answered: int) -> None:
    """Wait until a day is closed, sent and acknowledged.  Raises StandError."""
    began, acknowledged = monotonic(), stage.ledger / "acknowledged" / str(day)
    say(f"{day}: {answered:,} answers before midnight and after it")
    until(acknowledged.exists, f"{day} was not acknowledged", CLOSED_SECONDS)
    say(f"{day}: closed, sent and acknowledged {monotonic() - began:.0f} s later")


def _compare(stage: DayStage, day: date, given: dict[str, Counted]) -> Iterator[str]:
    """Say where the day's leaf or a row differs from what the clients were answered."""
    [leaf] = [
        each for each in _leaves(stage.ledger) if isinstance(each, Day) and each.day == str(day)
    ]
    requests = sum(each.requests for each in given.values())
    successes = sum(each.successes for each in given.values())
    sources = sum((each.sources for each in given.values()), Counter[str]())
    if (leaf.requests, leaf.raw) != (requests, successes):
        yield f"{day}: the leaf has {leaf.requests} and {leaf.raw}, the clients {requests} and {successes}"
    [node_row], enterprises = _rows(stage, "3", day), _rows(stage, "8", day)
    yield from _differs(f"{day} 表3", node_row, Counted(requests, successes, sources))
    if [row["prefix"] for row in enterprises] != [ENTERPRISE]:
        yield f"{day} 表8: {[row['prefix'] for row in enterprises]}"
    for row in enterprises:
        yield from _differs(f"{day} 表8 {row['prefix']}", row, given[row["prefix"]])
    say(
        f"{day}: 表3 {requests:,} requests, {successes:,} successes; of {ENTERPRISE} {given[ENTERPRISE].requests:,}"
    )


def _differs(title: str, row: dict[str, Any], counted: Counted) -> Iterator[str]:
    found = {each["ip"]: each["resolutions"] for each in row["sources"]}
    if (row["requests"], row["successes"]) != (counted.requests, counted.successes):
        yield f"{title}: {row['requests']} and {row['successes']}, the clients have {counted}"
    if found != counted.sources:
        yield f"{title}: by address {found}, the clients have {counted}"


def _rows(stage: DayStage, number: str, day: date) -> list[dict[str, Any]]:
    """Return the rows of a day as the top-level node holds them; its page would show no whole address."""
    with closing(sqlite3.connect(stage.top.database)) as connection:
        found = connection.execute("select body from row where number = ?", (number,)).fetchall()
    bodies = [json.loads(body) for (body,) in found if body is not None]
    return [body for body in bodies if body["day"] == str(day)]


def _leaves(ledger: Path) -> list[Leaf]:
    log = LogFiles(ledger)
    note = log.published()
    assert note is not None
    return [parse(line) for line in log.lines(0, Checkpoint.parse(note.text).size)]


def _witnessed(stage: DayStage) -> Iterator[str]:
    """Have all sealed; say which checkpoint the top-level node has not cosigned."""
    size = ask(stage.ledger).size
    until(lambda: stage.witnessed() >= size, f"{size} leaves were not cosigned", COSIGNED_SECONDS)
    key = VerifierKey.parse(stage.key)
    heads = sorted((stage.ledger / HEADS).glob("*.note"))
    for path in heads:
        lines = Note.parse(path.read_bytes()).signatures
        if (key.name, key.id) not in {(line.name, line.key_id) for line in lines}:
            yield f"{path.name} is not cosigned by the top-level node"
    say(f"the newest tree of {size} leaves and {len(heads)} heads are cosigned")


def _verified(stage: DayStage, first: date) -> Iterator[str]:
    """Export the evidence and have it judged; say what does not hold."""
    acknowledged = [each for each in _leaves(stage.ledger) if isinstance(each, Acknowledgement)]
    if len(acknowledged) != len(LEADS):
        yield f"{len(acknowledged)} acknowledgements in the log"
    evidence = stage.policy.with_name("evidence")
    export_evidence(LogFiles(stage.ledger), evidence, Edition(f"{first:%Y-%m}", with_bodies=True))
    keys = [str(path) for path in sorted((stage.ledger / KEYS).glob("month-*.key"))]
    words = ["audit", "verify", str(evidence), "--log-key", str(stage.ledger / KEYS / PUBLIC)]
    words += ["--policy", str(stage.policy), "--robots", str(files("node.ledger") / "robots.json")]
    done = stage.run(*words, *(word for key in keys for word in ("--month-key", key)))
    for line in done.stdout.splitlines():
        say(f"  {line}")
    if done.returncode > 1:
        yield f"the verifier ends with {done.returncode}: {done.stderr}"
    if f"R4 PASS  {len(LEADS)} days" not in done.stdout:
        yield "R4 does not pass for both days"


if __name__ == "__main__":
    sys.exit(main())
