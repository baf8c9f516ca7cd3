"""Soak: a node at 70 % of its highest rate, while it is written to, in step with the top-level node, and sealing.

    python -m loadtest.soak --minutes 30 --share 0.7 [--rate N] [--writes 50] [--out soak.json]

UDP, TCP and HTTP take turns, each open loop at that share of the highest rate that is found for it first.  Records are
registered, changed, deleted and registered anew in native sessions all the while, and while the rate is sought; their
names are few, for a node remembers what changed last up to a bound that half an hour does not reach.  Held to: no
wrong, lost or late answer (250 ms), no error in the log, no session broken; what the clients were answered, what the
ledger has and what Prometheus says are one number; both nodes hold the same rows in the end; the verifier passes; and
the memory of no process rises beyond its scatter (`loadtest.slope`), the first fifth of the time left out, in which
caches fill.

With --rate it is that many a second instead, for a machine that others use: late answers are told, and no fault then.
"""

import argparse
import asyncio
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadtest.administrators import SETTINGS, settle
from loadtest.fuzz_ports import log_faults
from loadtest.held import Stored
from loadtest.report import machine, write_json
from loadtest.scenarios import Extent, learn
from loadtest.sizes import load_corpus, make_corpus
from loadtest.soak_account import Account, Memory, until_in_step
from loadtest.soak_load import Load, Turns
from loadtest.stand import Stand, StandError, open_stand
from loadtest.steady_writes import Written
from loadtest.three_counts import ThreeCounts, differences, in_ledger, scrape, write_scrapes
from loadtest.toplevels import TopLevel, start_in_step
from loadtest.verdict import conclude, say
from loadtest.witnessed import Auditor, ledger_of

RECORDS = KEYS = 5_000
STOP_SECONDS = 30.0
LOG_LINES = 100  # that are shown when a soak comes to no account


class Soak:
    """Everything that runs, and the account of it."""

    def __init__(self, stand: Stand, load: Load) -> None:
        self._stand, self._load = stand, load
        self._auditor, self._top = Auditor(stand), TopLevel(stand)
        settings = {**SETTINGS, **self._auditor.settings, "WORKERS": str(load.workers)}
        self._node = start_in_step(stand, self._top, settings).node
        self._auditor.watch(self._node)
        settle(stand, self._node)
        corpus = make_corpus(stand.directory, RECORDS)
        load_corpus(self._node, corpus, RECORDS)
        asked = learn(self._node, corpus, Extent(RECORDS, KEYS, KEYS, 0, 0, 0))
        self._turns = Turns(self._node, asked, load)
        self.account = Account(ThreeCounts(), Memory(self._node))

    def run(self) -> Account:
        """Load the node for so long, then count, compare and verify."""
        tally, node = self.account.counts, self._node
        stored, told = Stored.read(node), self._stand.directory / "written.json"
        with self._writing(told):
            rates = self._turns.rates()
            say(
                "a second: " + ", ".join(f"{rate:,.0f} over {name}" for name, rate in rates.items())
            )
            self._auditor.seal(node)
            before, scraped = in_ledger(ledger_of(node))[0], scrape(node)
            tally.scrapes.append((time.time(), scraped.total()))
            self._ask(rates)
        written = Written.read(told)
        self.account.stored = Stored.read(node).since(stored)
        self.account.written = written.writes
        self._count()
        tally.faults += differences("in all", tally.ledger, tally.prometheus)
        tally.ledger.subtract(before)
        tally.prometheus.subtract(scraped)
        self.account.faults += asyncio.run(until_in_step(node, self._top, written))
        self.account.faults += log_faults(node.log)
        return self.account

    def log_end(self) -> str:
        """Return the last lines that the node has said; its log goes with the stand."""
        return "\n".join(self._node.log.read_text("utf-8").splitlines()[-LOG_LINES:])

    @contextmanager
    def _writing(self, told: Path) -> Iterator[None]:
        """Have somebody write meanwhile, who puts into a file what he was told.  Raises StandError."""
        words = ["--native", ":".join(map(str, self._node.native)), "--out", str(told)]
        command = [sys.executable, "-m", "loadtest.steady_writes", *words]
        writer, _ = self._stand.start_program(
            "writes", [*command, "--rate", str(self._load.writes)]
        )
        yield
        writer.send_signal(signal.SIGTERM)
        if writer.wait(STOP_SECONDS):
            raise StandError("the writers failed; their log is writes.log")

    def _ask(self, rates: dict[str, float]) -> None:
        """Ask in turns."""
        for transport, run in self._turns.ask(rates):
            self.account.add(transport, run)
            self.account.memory.sample()
            counted = scrape(self._node).total()
            self.account.counts.scrapes.append((time.time(), counted))

    def _count(self) -> None:
        """Seal all, take the evidence and have it verified; note what ledger and Prometheus have."""
        tally, node, auditor = self.account.counts, self._node, self._auditor
        auditor.wait_for_head(node, auditor.seal(node))
        tally.prometheus = scrape(node)
        tally.scrapes.append((time.time(), tally.prometheus.total()))
        evidence = auditor.take(node)
        tally.ledger, tally.classes = in_ledger(evidence)
        scrapes = evidence.with_suffix(".prom.json")
        write_scrapes(scrapes, tally)
        verdict = auditor.verify(evidence, node, prom=scrapes)
        self.account.faults += verdict.faults
        self.account.verdict = verdict.line("VERDICT")


def run(load: Load, niceness: int = 0) -> Account:
    """Run everything; return the account, whose `faults` are what did not hold."""
    with open_stand(niceness) as stand:
        soak = Soak(stand, load)
        try:
            return soak.run()
        except StandError:
            say(f"the node's log ends with\n{soak.log_end()}")
            raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run, print, write soak.json."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--share", type=float, default=0.7, help="of the highest rate")
    parser.add_argument("--rate", type=float, help="answers a second instead, whatever is highest")
    parser.add_argument("--writes", type=float, default=50.0, help="a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("soak.json"))
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    load = Load(60 * chosen.minutes, chosen.share, chosen.rate, chosen.writes, chosen.workers)
    account = run(load)
    print(*account.lines(), sep="\n")
    told = {"command": shlex.join(sys.orig_argv), "machine": machine()}
    write_json(chosen.out, {**told, **account.as_json()})
    return conclude(account.all_faults(is_timed=chosen.rate is None), "all of it held")


if __name__ == "__main__":
    sys.exit(main())
