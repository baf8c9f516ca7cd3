"""A million resolutions over UDP, TCP and HTTP with several workers, counted by client, by ledger and by Prometheus.

    python -m loadtest.million --resolutions 1000000 --workers 2

The generators of the bench ask in turns.  Before and behind them the node's metrics are scraped and everything is
sealed; the evidence is taken, and `idnode audit verify` judges it offline, with the scrapes.  The three counts must be
one number for each protocol and in sum, to the last one.  What this machine asks itself is of class `self`, or, with
--count-loopback, production up to what the rate rule allows, and suspect behind that; the count is the same.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from loadtest.figures import Target
from loadtest.generator_http import prepare_http
from loadtest.generator_tcp import prepare_tcp
from loadtest.generator_udp import prepare_udp
from loadtest.learn import draw, fits_datagram, is_plain_path, learn_http, learn_native
from loadtest.run import Prepared, Run, run_unpinned
from loadtest.sizes import load_corpus, make_corpus
from loadtest.stand import Node, open_stand
from loadtest.three_counts import ThreeCounts, differences, in_ledger, scrape, table, write_scrapes
from loadtest.turns import all_numbered, repeated, turns
from loadtest.verdict import conclude
from loadtest.witnessed import Auditor, Verdict
from resolver.observe import Protocol

RECORDS, KEYS = 5_000, 2_000
SOCKETS = 8  # source ports over UDP, so that each worker has its share
VERIFIED_SECONDS = 10.0
ASKED = (Protocol.UDP, Protocol.TCP, Protocol.HTTP_JSON)


class Asking:
    """Asks one node in turns, and adds up what it was answered."""

    def __init__(self, node: Node, corpus: Path) -> None:
        sample = draw(corpus, KEYS)
        native = learn_native(node.native, sample)
        http = list(filter(is_plain_path, learn_http(node.http, sample)))
        short = list(filter(fits_datagram, native))
        self._node = node
        self._prepare: dict[Protocol, Callable[[int], Prepared]] = {
            Protocol.UDP: lambda count: prepare_udp(
                node.native, repeated(short, count), once=True, sockets=min(SOCKETS, count)
            ),
            Protocol.TCP: lambda count: prepare_tcp(
                node.native, all_numbered(repeated(native, count)), once=True
            ),
            Protocol.HTTP_JSON: lambda count: prepare_http(
                node.http, repeated(http, count), once=True
            ),
        }

    def run(self, resolutions: int, tally: ThreeCounts) -> None:
        """Ask so many questions, a third by each protocol."""
        began = time.perf_counter()
        for protocol, count in turns(resolutions, ASKED):
            run = run_unpinned(partial(self._prepare[protocol], count))
            tally.client[protocol] += run.answers + run.strays
            tally.faults += _faults_of(protocol, run)
            scraped = scrape(self._node)
            tally.scrapes.append((time.time(), scraped.total()))
        tally.seconds = time.perf_counter() - began


def run(resolutions: int, workers: int, *, count_loopback: bool) -> list[str]:
    """Start a node, ask, count three times, verify; print the table, and return what does not hold."""
    with open_stand() as stand:
        auditor, tally = Auditor(stand), ThreeCounts()
        own = {"COUNT_LOOPBACK": str(count_loopback).lower(), "WORKERS": str(workers)}
        node = stand.start_node("million", {**own, **auditor.settings})
        auditor.watch(node)
        corpus = make_corpus(stand.directory, RECORDS)
        load_corpus(node, corpus, RECORDS)
        asking = Asking(node, corpus)
        auditor.seal(node)
        before, scraped = in_ledger(auditor.take(node))[0], scrape(node)
        tally.scrapes.append((time.time(), scraped.total()))
        asking.run(resolutions, tally)
        auditor.wait_for_head(node, auditor.seal(node))
        tally.prometheus = scrape(node)
        evidence = auditor.take(node)
        tally.ledger, tally.classes = in_ledger(evidence)
        tally.faults += differences("before the run", before, scraped)
        tally.faults += differences("in all", tally.ledger, tally.prometheus)
        tally.ledger.subtract(before)
        tally.prometheus.subtract(scraped)
        scrapes = evidence.with_suffix(".prom.json")
        write_scrapes(scrapes, tally)
        verdict = auditor.verify(evidence, node, prom=scrapes)
    for line in (*table(tally), *_told(tally, verdict, count_loopback=count_loopback)):
        print(line)
    faults = [*tally.faults, *differences("in the run", tally.ledger, tally.prometheus)]
    faults += differences("in the run, by the client", tally.ledger, tally.client)
    return [*faults, *verdict.faults]


def _faults_of(protocol: Protocol, run: Run) -> list[str]:
    faults = [f"{protocol}: {run.wrong} wrong answers: {fault}" for fault in run.faults[:1]]
    if run.lost != run.strays:
        faults.append(f"{protocol}: {run.lost - run.strays} answers were lost: nobody can count")
    return faults


def _told(tally: ThreeCounts, verdict: Verdict, *, count_loopback: bool) -> Iterator[str]:
    rate = tally.client.total() / tally.seconds
    yield f"IDNODE_COUNT_LOOPBACK={int(count_loopback)}"
    yield f"asked in {tally.seconds:.1f} s, {rate:,.0f} a second, generators' starts included"
    yield from (verdict.line(rule) for rule in ("V2", "R1", "R2", "R3", "VERDICT"))
    target = Target("", verdict.seconds, VERIFIED_SECONDS, at_least=False)
    met = "met" if target.is_met else "not met"
    computed = f"{verdict.cpu_seconds:.1f} s of processor time"
    yield f"verified offline in {verdict.seconds:.1f} s, {computed} (target {VERIFIED_SECONDS:.0f} s: {met})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="million", description=__doc__.splitlines()[0])
    parser.add_argument("--resolutions", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--count-loopback", action="store_true", help="as production, not as self")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    faults = run(chosen.resolutions, chosen.workers, count_loopback=chosen.count_loopback)
    return conclude(faults, "all three counts are one")


if __name__ == "__main__":
    sys.exit(main())
