"""`python -m loadtest prove` and `check`: the command line of the proof."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from subprocess import SubprocessError

from rich.console import Console

from loadtest.learn import LearningError
from loadtest.prove.checking import check_proof
from loadtest.prove.proof import Proof, Wish, prove
from loadtest.prove.scene import NoScene
from loadtest.prove.told import print_counts, print_end, telling
from loadtest.run import GeneratorDied
from loadtest.stand import StandError
from loadtest.streams import NoAnswer
from node.errors import RegistryError
from node.ledger.campaigns import CampaignError
from node.ledger.claiming import NotAcknowledged
from node.ledger.inbox import NotTaken
from node.ledger.keys import NoteError
from node.ledger.leafforms import LeafError
from node.ledger.logfiles import LogDamaged
from node.ledger.quorum import PolicyError
from node.ledger.report.pdf import TypesetError

RESOLUTIONS, LEAST = 1_000_000, 300
LATENCY_SECONDS = 3.0
NOT_PROVEN, WRONG_USE, INTERRUPTED = 1, 2, 130

_FAILURES = (
    CampaignError,
    GeneratorDied,
    LeafError,
    LearningError,
    LogDamaged,
    NoAnswer,
    NoScene,
    NotAcknowledged,
    NotTaken,
    NoteError,
    RegistryError,
    PolicyError,
    StandError,
    SubprocessError,
    TypesetError,
    OSError,
)


def add_prove(parser: argparse.ArgumentParser) -> None:
    """Say which arguments `prove` takes."""
    parser.add_argument(
        "--resolutions", type=_number, default=RESOLUTIONS, metavar="N",
        help=f"so many in the closed loop, at least {LEAST}; default: {RESOLUTIONS:,}",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, default=max(1, len(os.sched_getaffinity(0))), metavar="N",
        help="worker processes of the node that is started; default: one a core",
    )  # fmt: skip
    parser.add_argument(
        "--latency", type=float, default=LATENCY_SECONDS, metavar="SECONDS",
        help="of the part at a fixed rate, for each protocol; default: 3",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the report goes; default: .idnode/proof-…"
    )
    parser.add_argument(
        "--node", type=Path, metavar="DIR",
        help="use the node that runs on this data directory, and start none",
    )  # fmt: skip
    parser.add_argument(
        "--corpus", type=Path, metavar="FILE",
        help="with --node: the records that it has; default: the sample of `make run`",
    )  # fmt: skip


def add_check(parser: argparse.ArgumentParser) -> None:
    """Say which arguments `check` takes."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="that of the report")
    for name, text in (("--log-key", "the log's keys"), ("--policy", "whom you believe")):
        parser.add_argument(
            name, type=Path, metavar="FILE", help=f"{text}; default: that in trust/"
        )
    parser.add_argument(
        "--toplevel", default="", metavar="NAME",
        help="the top-level node's name in the policy; default: toplevel, with trust/ the report's",
    )  # fmt: skip


def run_prove(arguments: argparse.Namespace) -> int:
    """Make a proof; return the exit code: 0 proven, 1 not, 2 wrong use, 130 interrupted."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    console = Console(stderr=True)
    out = arguments.out or Path(".idnode") / time.strftime("proof-%Y%m%d-%H%M%S")
    wish = Wish(
        arguments.resolutions,
        arguments.workers,
        out.resolve(),
        arguments.latency,
        arguments.node,
        arguments.corpus,
    )
    try:
        with telling(wish.resolutions, console) as told:
            proof = prove(wish, told)
    except FileExistsError as error:
        return _refuse(f"{error.filename} is there already; give another --out", WRONG_USE)
    except _FAILURES as error:
        return _refuse(f"{error}", NOT_PROVEN)
    except KeyboardInterrupt:
        return _refuse("interrupted", INTERRUPTED)
    return end(proof, out)


def end(proof: Proof, directory: Path) -> int:
    """Print what came of it; return the exit code."""
    print_counts(proof.counts, Console())
    print_end(directory, proof.faults, Console())
    return NOT_PROVEN if proof.faults else 0


def run_check(arguments: argparse.Namespace) -> int:
    """Check a proof from its files; return the exit code."""
    faults = check_proof(
        arguments.directory, arguments.log_key, arguments.policy, arguments.toplevel
    )
    for fault in faults:
        print(f"FAIL {fault}")
    if not faults:
        print("PASS signature, counts, files and evidence of this proof hold")
    return NOT_PROVEN if faults else 0


def _refuse(sentence: str, code: int) -> int:
    print(f"The proof failed: {sentence}", file=sys.stderr)
    return code


def _number(text: str) -> int:
    number = int(text.replace("_", "").replace(",", ""))
    if number < LEAST:
        raise argparse.ArgumentTypeError(f"at least {LEAST} resolutions")
    return number
