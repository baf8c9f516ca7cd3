"""What a node makes for auditors, words of `idnode audit`: days closed, reports issued, evidence exported, samples.

`close`, `report` and `prune` put leaves into the log, so the node must be running; the others only read files.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

from node import config
from node.daily import closer_of
from node.errors import Kind, RegistryError
from node.ledger.closing import genesis_of
from node.ledger.count import CountError
from node.ledger.day import DayOpen
from node.ledger.evidence import Edition, archive_name, export_evidence, pack_evidence
from node.ledger.inbox import NotTaken, append
from node.ledger.leaf import Genesis
from node.ledger.logfiles import KEYS, LogDamaged, LogFiles
from node.ledger.note import Signer
from node.ledger.pruning import TooYoung, Wish, prune
from node.ledger.quorum import PolicyError
from node.ledger.report.document import Issue
from node.ledger.report.figures import LedgerMonth
from node.ledger.report.issuing import NotOver, issue_report, preliminary_report
from node.ledger.report.months import days_of
from node.ledger.report.pdf import TypesetError
from node.ledger.report.sampling import make_sample
from node.ledger.report.thresholds import Profile, own_profiles
from node.ledger.report.verdicts import verdicts_of
from node.ledger.role import DIRECTORY
from node.ledger.sample import RESOLUTIONS
from node.ledger.signing import SM2_KEY, load_signers
from node.ledger.verify.files import Unreadable
from node.ledger.verify.scrape import Series, parse_scrape
from node.ledger.verify.trust import WrongUse

SAMPLE_MONTH = "2026-10"
_NS_IN_US = 1_000
_FAULTS = (
    CountError,
    LogDamaged,
    PolicyError,
    Unreadable,
    TypesetError,
    ValueError,
    OSError,
)  # ValueError: of all parsers


def add_words(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add what can be made."""
    closed = words.add_parser("close", help="close the days that are over; the node does it itself")
    reported = words.add_parser(
        "report", help="issue the report of a month: JSON, HTML, PDF, CSV, YAML"
    )
    reported.add_argument(
        "--operator", default="", help="who runs the node, as it is to be printed"
    )
    reported.add_argument("--licence", default="", help="number of the registration licence")
    reported.add_argument(
        "--profile", type=Path, action="append", default=[], metavar="FILE",
        help="what an authority asks for (JSON); the first stands on page 1. Left out: those that come with idnode",
    )  # fmt: skip
    reported.add_argument(
        "--prom",
        type=Path,
        metavar="FILE",
        help="what a Prometheus outside has of the month: a range query's answer",
    )
    reported.add_argument(
        "--preliminary", type=Path, metavar="DIR", help="write what it would be now, without a leaf"
    )
    exported = words.add_parser("export", help="write the evidence of a month for an auditor")
    exported.add_argument(
        "--to", type=Path, default=Path(), metavar="DIR", help="where; default: here"
    )
    exported.add_argument(
        "--bodies", action="store_true", help="with the records, for an accredited auditor only"
    )
    exported.add_argument("--tar", action="store_true", help="as one .tar.gz")
    for parser in (reported, exported):
        parser.add_argument("month", type=_month, metavar="MONTH", help="such as 2026-11")
    pruned = words.add_parser("prune", help="let the records of days long past go; the log says so")
    pruned.add_argument(
        "--until",
        type=_day,
        default="",
        metavar="DAY",
        help="the last day; default: the newest that may go",
    )
    pruned.add_argument(
        "--keys",
        action="store_true",
        help="destroy the keys of months that are gone as a whole, too",
    )
    pruned.add_argument("--dry-run", action="store_true", help="only say what would go")
    for parser in (closed, reported, exported, pruned):
        parser.add_argument(
            "--ledger",
            type=Path,
            metavar="DIR",
            help="the ledger's directory; default: that of this node",
        )
    sampled = words.add_parser("sample", help="a month that is not real: ledger, report, evidence")
    sampled.add_argument("directory", type=Path, metavar="DIR", help="not there yet")
    sampled.add_argument(
        "--month", type=_month, default=SAMPLE_MONTH, help=f"default: {SAMPLE_MONTH}"
    )
    sampled.add_argument("--days", type=int, metavar="N", help="only its first days")
    sampled.add_argument(
        "--resolutions", type=int, default=RESOLUTIONS, metavar="N", help=f"default: {RESOLUTIONS}"
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry out the word, and return the exit code.  Raises RegistryError."""
    with _sentences():
        ACTS[arguments.word](arguments)
    return 0


def _close(arguments: argparse.Namespace) -> None:
    closer = closer_of(LogFiles(_directory(arguments)))
    days = closer.close_due(time.time_ns() // _NS_IN_US) if closer is not None else []
    _say(f"closed: {', '.join(days)}" if days else "there is no day to be closed")


def _report(arguments: argparse.Namespace) -> None:
    directory = _directory(arguments)
    month = LedgerMonth(LogFiles(directory), arguments.month)
    issue = Issue(
        operator=arguments.operator,
        licence=arguments.licence,
        profiles=_profiles(arguments.profile),
        verdicts=verdicts_of(directory, month.genesis, arguments.month, _scrape(arguments.prom)),
    )
    signers = _signers(directory, month.genesis.origin)
    if arguments.preliminary:
        preliminary_report(month, issue, signers, arguments.preliminary)
        _say(f"{arguments.preliminary}: a preliminary report; it has no leaf")
        return
    made = issue_report(month, issue, signers, partial(append, directory))
    _say(f"{made}: the report of {arguments.month}")


def _scrape(path: Path | None) -> list[Series] | None:
    """What an outside Prometheus has.  Raises RegistryError."""
    try:
        return None if path is None else parse_scrape(path.read_bytes())
    except WrongUse as error:
        raise RegistryError(Kind.INVALID, f"{error}.") from error


def _export(arguments: argparse.Namespace) -> None:
    files = LogFiles(_directory(arguments))
    name = archive_name(_genesis(files).origin, arguments.month)
    target = arguments.to / name
    done = export_evidence(files, target, Edition(arguments.month, with_bodies=arguments.bodies))
    if arguments.tar:
        pack_evidence(target, target.with_name(f"{name}.tar.gz"))
    gone = f"; {done.missing} bodies are not here any more" if done.missing else ""
    _say(f"{target}: {done.files:,} files, {done.size:,} bytes{gone}")
    _say("Keys and the witness policy are not in it: give those to the auditor another way.")


def _prune(arguments: argparse.Namespace) -> None:
    directory = _directory(arguments)
    wish = Wish(arguments.until, arguments.keys, arguments.dry_run)
    done = prune(LogFiles(directory), wish, time.time_ns() // _NS_IN_US, partial(append, directory))
    keys = f" and the keys of {', '.join(done.keys)}" if done.keys else ""
    verb = "would go" if wish.is_dry else "are gone"
    _say(f"{done.bodies:,} bodies ({done.size:,} bytes) until {done.until}{keys} {verb}")


def _sample(arguments: argparse.Namespace) -> None:
    if (arguments.days or 1) < 1 or arguments.resolutions < 0:
        raise RegistryError(
            Kind.INVALID, "A sample has at least one day, and no fewer than 0 resolutions."
        )
    made = make_sample(
        arguments.directory, arguments.month, days=arguments.days, resolutions=arguments.resolutions
    )
    for step in made:
        _say(step)


def _directory(arguments: argparse.Namespace) -> Path:
    return arguments.ledger or config.load().data_dir / DIRECTORY


def _genesis(files: LogFiles) -> Genesis:
    found = genesis_of(files)
    if found is None:
        raise LogDamaged(f"{files.directory} has no log yet; start the node with its ledger on")
    return found


def _signers(directory: Path, origin: str) -> Sequence[Signer]:
    keys = directory / KEYS
    return load_signers(keys, origin, sm2=(keys / SM2_KEY).exists(), is_new=False)


def _profiles(paths: Sequence[Path]) -> Sequence[Profile]:
    return tuple(Profile.parse(path.read_bytes()) for path in paths) or own_profiles()


def _month(text: str) -> str:
    try:
        days_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a day is such as 2026-11-03, not {text}") from error


def _say(line: str) -> None:
    print(line)
    sys.stdout.flush()


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn what the parts raise into what the command line says."""
    try:
        yield
    except (DayOpen, NotOver, TooYoung) as error:
        raise RegistryError(Kind.CONFLICT, f"{error}.") from error
    except NotTaken as error:
        raise RegistryError(Kind.UNAVAILABLE, f"{error}.") from error
    except FileExistsError as error:
        raise RegistryError(Kind.CONFLICT, f"{error.filename} is there already.") from error
    except _FAULTS as error:
        raise RegistryError(Kind.INVALID, f"{error}.") from error


ACTS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "close": _close,
    "report": _report,
    "export": _export,
    "prune": _prune,
    "sample": _sample,
}
