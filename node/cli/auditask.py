"""What an operator asks the running node's log for, words of `idnode audit`: seal now, campaigns, acknowledgements."""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

from node import config
from node.cli.output import Form, add_output_argument, print_json, print_rows
from node.errors import Kind, RegistryError
from node.ledger.acknowledging import ClaimError
from node.ledger.campaigns import CampaignError, Wish, announce, campaigns, close, next_minute
from node.ledger.claiming import NotAcknowledged, acknowledge
from node.ledger.inbox import NotTaken, ask
from node.ledger.logfiles import LogDamaged
from node.ledger.quorum import Policy, PolicyError
from node.ledger.role import DIRECTORY
from node.process.running import find_running
from node.settings import Settings

_US_IN_NS = 1_000
_MINUTE_US = 60_000_000
_WAIT_SECONDS = 1.0
_COLUMNS = ("number", "state", "time", "until", "networks", "planned", "observed", "protocols")
_FAULTS = (LogDamaged, PolicyError, ValueError, OSError)  # ValueError: of all parsers


def add_words(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add what can be asked for."""
    words.add_parser("seal", help="have all that was counted sealed, signed and cosigned at once")
    opened = words.add_parser(
        "announce",
        help="announce a load test, from a full minute on: what it asks is of class test",
    )
    opened.add_argument(
        "--network", type=_network, action="append", required=True, metavar="CIDR",
        help="where it comes from; again for each",
    )  # fmt: skip
    opened.add_argument(
        "--minutes", type=int, default=60, metavar="N", help="how long at most; default: 60"
    )
    opened.add_argument(
        "--planned", type=int, default=0, metavar="N", help="how many resolutions are planned"
    )
    closed = words.add_parser("conclude", help="close a load test, with the count of its records")
    confirmed = words.add_parser(
        "acknowledge", help="have the top-level node confirm the count of a closed load test"
    )
    for parser in (closed, confirmed):
        parser.add_argument("number", type=int, metavar="NUMBER", help="of the load test")
    add_output_argument(words.add_parser("campaigns", help="the load tests that the log has"))


def run(arguments: argparse.Namespace) -> int:
    """Carry out the word, and return the exit code.  Raises RegistryError."""
    with _sentences():
        ACTS[arguments.word](arguments)
    return 0


def _seal(_arguments: argparse.Namespace) -> None:
    told = ask(_ledger())
    print(f"{told.size:,} leaves are sealed and published; the witnesses have been asked")


def _announce(arguments: argparse.Namespace) -> None:
    since = next_minute(_now_us())
    until = since + max(arguments.minutes, 1) * _MINUTE_US
    wish = Wish(since, until, arguments.planned, tuple(arguments.network))
    leaf, at = announce(_ledger(), wish)
    print(
        f"campaign {leaf.number} is announced in leaf {at}: from {_clock(since)} to {_clock(until)} UTC"
    )


def _conclude(arguments: argparse.Namespace) -> None:
    leaf, at = close(_ledger(), arguments.number, _now_us)
    sums = ", ".join(f"{name} {count:,}" for name, count in (leaf.protocols or {}).items())
    print(
        f"campaign {leaf.number} is closed in leaf {at}: {leaf.observed:,} records ({sums or 'none'})"
    )


def _acknowledge(arguments: argparse.Namespace) -> None:
    settings = _running()
    if settings.ledger_witnesses is None:
        raise RegistryError(
            Kind.MISCONFIGURED,
            "IDNODE_LEDGER_WITNESSES names nobody who could acknowledge anything.",
        )
    policy = Policy.parse(settings.ledger_witnesses.read_bytes())
    told, at = acknowledge(
        settings.data_dir / DIRECTORY,
        arguments.number,
        policy,
        lambda: time.sleep(_WAIT_SECONDS),
    )
    print(f"campaign {told.campaign}: {told.observed:,} resolutions are acknowledged, in leaf {at}")


def _campaigns(arguments: argparse.Namespace) -> None:
    rows = [
        [
            str(each.number),
            each.state,
            _clock(each.time),
            _clock(each.until),
            " ".join(each.networks),
            str(each.planned),
            "" if each.observed is None else str(each.observed),
            " ".join(f"{name}={count}" for name, count in (each.protocols or {}).items()),
        ]
        for each in campaigns(_ledger())
    ]
    if arguments.output is Form.JSON:
        print_json([dict(zip(_COLUMNS, row, strict=True)) for row in rows])
    else:
        print_rows(arguments.output, _COLUMNS, rows)


def _running() -> Settings:
    settings = config.load()
    return find_running(settings) or settings


def _ledger() -> Path:
    return _running().data_dir / DIRECTORY


def _now_us() -> int:
    return time.time_ns() // _US_IN_NS


def _clock(time_us: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_us // 1_000_000))


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a network is such as 192.0.2.0/24: {error}") from error


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn what the parts raise into what the command line says."""
    try:
        yield
    except CampaignError as error:
        raise RegistryError(Kind.CONFLICT, f"{error}.") from error
    except (NotTaken, NotAcknowledged, ClaimError) as error:
        raise RegistryError(Kind.UNAVAILABLE, f"{error}.") from error
    except _FAULTS as error:
        raise RegistryError(Kind.INVALID, f"{error}.") from error


ACTS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "seal": _seal,
    "announce": _announce,
    "conclude": _conclude,
    "acknowledge": _acknowledge,
    "campaigns": _campaigns,
}
