"""The verifier's command line: the same words in `idnode audit` and in the zipapp, which has nothing else.

Exit codes are those of the checks.  Standard output has the result, standard error what was wrong with the question.
"""

import argparse
import gc
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from node.ledger.classes import Robots
from node.ledger.day import day_at
from node.ledger.leaf import Block, LeafError
from node.ledger.note import Check
from node.ledger.tags import KEY_BYTES
from node.ledger.verify.bodies import Bodies
from node.ledger.verify.canaries import parse_canaries
from node.ledger.verify.checks import INCOMPLETE, PASS, WRONG_USE
from node.ledger.verify.files import MAX_DOCUMENT_BYTES, EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings, grouped, plain
from node.ledger.verify.forks import compare_heads
from node.ledger.verify.heads import read_heads
from node.ledger.verify.lines import read_leaf
from node.ledger.verify.merkle import MerkleRules
from node.ledger.verify.output import json_of, lines_of
from node.ledger.verify.period import Period
from node.ledger.verify.proving import prove
from node.ledger.verify.recount import RecountRules, recount
from node.ledger.verify.scrape import parse_scrape
from node.ledger.verify.trust import (
    WrongUse,
    head_of,
    read_given,
    read_log_keys,
    read_remembered,
    read_trust,
    remember,
)
from node.ledger.verify.verification import Question, verify_evidence

INTERNAL = 70
MAX_GIVEN_BYTES = 256 * 2**20  # of a list of canaries or a scrape

EPILOG = """\
Keys and quorum come from somebody else than the node: --log-key, --policy.  Nothing is fetched.

exit codes of verify:
  0   pass                                    13  hole, duplicate or break in a lane
  1   pass, with gaps that the log discloses  14  time
  2   wrong use                               15  policy, or a count differs
  3   the evidence is incomplete              16  reconciliation differs
  10  signature or quorum                     17  canary
  11  root, tile or body
  12  fork, or not append-only
"""


def add_words(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add what can be asked."""
    _add_verify(words)
    proved = words.add_parser("prove", help="check one receipt, a .tlog-proof file")
    proved.add_argument("receipt", type=Path, metavar="RECEIPT", help="the file")
    _add_trust(proved)
    recounted = words.add_parser("recount", help="count again under rules of your own")
    _add_evidence(recounted)
    recounted.add_argument(
        "--policy-file", type=Path, required=True, metavar="FILE", help="your rules, as JSON"
    )
    recounted.add_argument("--period", default="", metavar="MONTH", help="only this month")
    compared = words.add_parser("diff", help="say whether two heads of one log can both be true")
    compared.add_argument("head_a", type=Path, metavar="HEAD_A", help="a signed head")
    compared.add_argument("head_b", type=Path, metavar="HEAD_B", help="another one")
    _add_log_key(compared)
    compared.add_argument(
        "--evidence", type=Path, metavar="DIR", help="its tiles show whether one begins the other"
    )


def run(arguments: argparse.Namespace, check_sm2: Check | None = None) -> int:
    """Carry out the word, and return the exit code; `check_sm2` is there where the library is that can."""
    arguments.check_sm2 = check_sm2
    try:
        code: int = ACTS[arguments.word](arguments)
    except WrongUse as error:
        _complain(str(error))
        return WRONG_USE
    except Unreadable as error:
        _complain(str(error))
        return INCOMPLETE
    return code


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line of the zipapp; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="idnode-audit",
        description="Verify the audit ledger of a secondary node, offline.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_words(parser.add_subparsers(dest="word", metavar="WORD", title="words", required=True))
    try:
        return run(parser.parse_args(words))
    except KeyboardInterrupt:
        return 130
    except Exception:  # the top of the process
        traceback.print_exc()
        _complain("this is a fault of ours; please report the lines above")
        return INTERNAL


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _complain(text: str) -> None:
    sys.stderr.write(f"idnode audit: {plain(text)}\n")


def _add_verify(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verified = words.add_parser(
        "verify",
        help="judge an evidence directory by all rules",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_evidence(verified)
    for name, help_ in (
        ("--remember", "the head that you accepted last; replaced when this one passes"),
        ("--canaries", "questions that you asked yourself, CSV"),
        ("--prom", "what your own Prometheus has: the answer to a range query, JSON"),
        ("--robots", "the list of robots that the policy names by its digest"),
        ("--json", "write the result here too, with pointers into the evidence"),
    ):
        verified.add_argument(name, type=Path, metavar="FILE", help=help_)
    verified.add_argument(
        "--toplevel", default="", metavar="NAME",
        help="the top-level node's name in --policy, a witness or group; default: toplevel",
    )  # fmt: skip
    verified.add_argument(
        "--month-key", type=Path, metavar="FILE", action="append", default=[], help="a month's key"
    )
    verified.add_argument(
        "--bodies", default="all", metavar="WHICH", help="none, sample:N, or all (the default)"
    )
    verified.add_argument(
        "--period", default="", metavar="MONTH", help="2026-11; that of the report when left out"
    )
    verified.add_argument(
        "--threshold", default="1000000:filtered", metavar="N:METRIC", help="raw or filtered"
    )


def _add_evidence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("evidence", type=Path, metavar="EVIDENCE_DIR", help="the unpacked archive")
    _add_trust(parser)


def _add_trust(parser: argparse.ArgumentParser) -> None:
    _add_log_key(parser)
    parser.set_defaults(check_sm2=None)
    parser.add_argument(
        "--policy", type=Path, required=True, metavar="FILE", help="whom you believe: a tlog-policy"
    )


def _add_log_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-key", type=Path, required=True, metavar="FILE", help="the log's verifier keys"
    )


def _verify(arguments: argparse.Namespace) -> int:
    question, files = question_of(arguments), EvidenceFiles(arguments.evidence)
    with _no_collector():
        outcome = verify_evidence(files, question)
    for line in lines_of(outcome):
        _say(line)
    if arguments.json:
        _write(arguments.json, json_of(outcome))
    code = outcome.findings.code
    if arguments.remember and outcome.head and code <= 1:
        remember(arguments.remember, outcome.head.note)
    return code


@contextmanager
def _no_collector() -> Iterator[None]:
    """Leave out the search for cycles: there are none, and among millions of records it takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def question_of(arguments: argparse.Namespace) -> Question:
    """Return what is asked, with all that the auditor gave.  Raises WrongUse."""
    trust = read_trust(arguments.log_key, arguments.policy, arguments.check_sm2, arguments.toplevel)
    kept = read_remembered(arguments.remember, trust) if arguments.remember else None
    number, _, metric = arguments.threshold.partition(":")
    if not number.isdecimal() or metric not in ("raw", "filtered", ""):
        raise WrongUse("--threshold is a number, and raw or filtered: 1000000:raw")
    try:
        bodies, period = Bodies.parse(arguments.bodies), Period(arguments.period)
    except ValueError as error:
        raise WrongUse(str(error)) from error
    given = {
        name: read_given(path, MAX_GIVEN_BYTES) if path else None
        for name, path in (("canaries", arguments.canaries), ("prom", arguments.prom))
    }
    return Question(
        trust=trust,
        bodies=bodies,
        period=period.month,
        threshold=int(number),
        metric=metric or "filtered",
        remembered=None if kept is None else head_of(kept),
        month_keys=tuple(map(_month_key, arguments.month_key)),
        robots=_robots(arguments.robots),
        canaries=None if given["canaries"] is None else parse_canaries(given["canaries"]),
        scrape=None if given["prom"] is None else parse_scrape(given["prom"]),
    )


def _month_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(read_given(path, 1_024).decode("ascii"))
    except ValueError as error:
        raise WrongUse(f"{path} is no month key: {error}") from error
    if len(key) != KEY_BYTES:
        raise WrongUse(f"{path} is no month key: it has not {KEY_BYTES} bytes")
    return key


def _robots(path: Path | None) -> dict[str, Robots]:
    if path is None:
        return {}
    try:
        robots = Robots.parse(read_given(path, MAX_DOCUMENT_BYTES))
    except (ValueError, RecursionError) as error:
        raise WrongUse(f"{path} is no list of robots: {error}") from error
    return {robots.digest: robots}


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise WrongUse(f"{path} cannot be written: {error.strerror}") from error


def _prove(arguments: argparse.Namespace) -> int:
    code, lines = prove(arguments.receipt, read_trust(arguments.log_key, arguments.policy))
    for line in lines:
        _say(line)
    return code


def _recount(arguments: argparse.Namespace) -> int:
    trust = read_trust(arguments.log_key, arguments.policy)
    rules = RecountRules.parse(read_given(arguments.policy_file, 65_536))
    try:
        period = Period(arguments.period)
    except ValueError as error:
        raise WrongUse(str(error)) from error
    files, findings = EvidenceFiles(arguments.evidence), Findings()
    heads = read_heads(files, trust, findings)
    if not heads.all:
        raise Unreadable("there is no head that can be believed; `verify` says why")
    merkle = MerkleRules(files, heads, None, findings)
    raw = filtered = 0
    for day in recount(_blocks(merkle, period), files, rules):
        if not period.month or day.day.startswith(period.month):
            raw, filtered = raw + day.raw, filtered + day.filtered
            _say(
                f"{day.day}  records {grouped(day.records)}  raw {grouped(day.raw)}  "
                f"filtered {grouped(day.filtered)}"
            )
    merkle.finish()
    _say(f"RAW {grouped(raw)}   FILTERED {grouped(filtered)}")
    if findings.code > PASS:
        _complain("the evidence has faults, see `verify`")
    return findings.code


def _blocks(merkle: MerkleRules, period: Period) -> Iterator[tuple[int, Block]]:
    for line in merkle.lines():
        try:
            leaf = read_leaf(line.data)
        except LeafError as error:
            raise Unreadable(f"leaf {line.number} cannot be read: {error}") from error
        if isinstance(leaf, Block) and period.has_span(*map(day_at, leaf.span)):
            yield line.number, leaf


def _diff(arguments: argparse.Namespace) -> int:
    keys = read_log_keys(arguments.log_key)
    files = EvidenceFiles(arguments.evidence) if arguments.evidence else None
    judged = compare_heads(arguments.head_a, arguments.head_b, keys, files)
    _say(plain(judged.text))
    return judged.code


ACTS: dict[str, Callable[[argparse.Namespace], int]] = {
    "verify": _verify,
    "prove": _prove,
    "recount": _recount,
    "diff": _diff,
}
