"""The ledger of a node that ran: real records, blocks and checkpoints, with its last days closed after it has stopped.

A running node closes a day after midnight.  A judge does not wait for that: all that was asked is sealed, the node
stops, and what it would do at its next start and after midnight is done on its files, with its keys: its epochs are
closed, then this day, and a few quiet days after it.
"""

import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.error import HTTPError

from node.ledger.checkpoint import Checkpoint
from node.ledger.closing import DAYS, WAIT_US, DayCloser, genesis_of
from node.ledger.count import DAY_US
from node.ledger.day import DayDetail, day_at, start_of
from node.ledger.inbox import ask
from node.ledger.index import open_index
from node.ledger.leaf import Block, Epoch, Leaf, parse
from node.ledger.logfiles import KEYS, LogFiles
from node.ledger.note import Note
from node.ledger.role import DIRECTORY
from node.ledger.signing import load_signers
from node.ledger.tree import Tree
from tests.support.nodes import node_in

ASKED = 40
QUIET_DAYS = 2
TIMEOUT_SECONDS = 10.0
NATIVE_QUESTION = ("resolve", "88.118.8/JXDY2106023", "--over", "udp")


class NodeLedger(NamedTuple):
    """A ledger, its origin, and how many answers its node gave over HTTP."""

    directory: Path
    origin: str
    answered: int


@contextmanager
def node_ledger() -> Iterator[NodeLedger]:
    """Run a node, ask it over HTTP and UDP, stop it, close the days, and lend its ledger."""
    with TemporaryDirectory(prefix="idnode-ledger-") as name:
        Path(name).chmod(0o711)  # embedded servers run under another account when we are root
        with node_in(Path(name) / "data", IDNODE_COUNT_LOOPBACK="true") as lent:
            settings = lent.start()
            lent.run("load", str(_records(Path(name))))
            for number in range(ASKED):
                _ask(f"http://{settings.http_listen[0]}/v1/resolve/88.999.1/pump-{number % 7}")
            assert lent.run(*NATIVE_QUESTION).returncode in (0, 3)
            directory = lent.data_dir / DIRECTORY
            ask(directory)  # the keeper seals it all
            lent.stop()
            origin = close_days(LogFiles(directory))
            yield NodeLedger(directory, origin, ASKED)


def close_days(files: LogFiles) -> str:
    """Close this day and some quiet ones after it, on the files of a node that does not run; return the origin."""
    genesis = genesis_of(files)
    assert genesis is not None
    signers = load_signers(files.directory / KEYS, genesis.origin, sm2=False, is_new=False)

    def append(leaf: Leaf) -> int:
        note = files.published()
        assert note is not None
        before = Checkpoint.parse(note.text)
        head = Tree.load(files, (before.size, before.root)).grow([leaf.line()])
        text = Checkpoint(genesis.origin, *head).text
        files.publish(Note(text).signed(*(signer.sign(text) for signer in signers)))
        return before.size

    for leaf in _closings(files):
        append(leaf)
    closer = DayCloser(files, open_index(files.directory, genesis.origin), append)
    today = day_at(time.time_ns() // 1_000)
    closer.close_due(start_of(today + QUIET_DAYS) + DAY_US + WAIT_US)
    return genesis.origin


def _closings(files: LogFiles) -> list[Epoch]:
    """Return the leaves that close what is open, at the last record of each, as the sealer would."""
    note = files.published()
    assert note is not None
    opened: dict[tuple[int, int], Epoch] = {}
    for leaf in map(parse, files.lines(0, Checkpoint.parse(note.text).size)):
        match leaf:
            case Epoch(state="open"):
                opened[leaf.lane, leaf.epoch] = replace(leaf, state="close", last=0)
            case Epoch():
                del opened[leaf.lane, leaf.epoch]
            case Block():
                closing = opened[leaf.lane, leaf.epoch]
                opened[leaf.lane, leaf.epoch] = replace(
                    closing, time=leaf.span[1], last=leaf.sequence[1]
                )
    return list(opened.values())


def resolutions(files: LogFiles) -> int:
    """Return the answers in production that the closed days have, of whatever result."""
    found = 0
    for path in sorted((files.directory / DAYS).glob("*-*-*.json")):
        counted = DayDetail.parse(path.read_bytes()).counted
        found += counted.total(lambda cell: cell.class_ == 0).requests
    return found


def _records(directory: Path) -> Path:
    lines = ['{"handle": "0.NA/88.999.1", "values": []}']
    lines += [
        f'{{"handle": "88.999.1/pump-{number}", "values":'
        f' [{{"index": 1, "type": "URL", "data": "https://example.cn/{number}"}}]}}'
        for number in range(5)
    ]
    path = directory / "records.ndjson"
    path.write_text("\n".join(lines) + "\n")
    return path


def _ask(url: str) -> None:
    """Ask; two of seven are not there, which is an answer too."""
    with suppress(HTTPError), urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
        answer.read()
