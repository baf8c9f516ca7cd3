"""The proof itself, step by step: announce, ask, seal, close, have cosigned and acknowledged, export, verify, report.

Nothing of the production count is touched: what the campaign asks is of class test, in the ledger and for ever.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from loadtest.prove import campaign as steps
from loadtest.prove import evidence
from loadtest.prove.campaign import Announced, Mark
from loadtest.prove.checking import gained
from loadtest.prove.confirmation import confirm
from loadtest.prove.document import Findings, Log, document
from loadtest.prove.evidence import Believed
from loadtest.prove.issuing import issue
from loadtest.prove.machine import machine, versions
from loadtest.prove.reconciliation import FourCounts, unacknowledged
from loadtest.prove.sampling import Sample, sampling
from loadtest.prove.scene import Scene, own_scene, running_scene
from loadtest.prove.told import Told
from loadtest.prove.traffic import Traffic, now_us
from node.ledger.checkpoint import Checkpoint
from node.ledger.evidence import SHA256SUMS
from node.ledger.heads import HeadFiles

SAMPLE_SECONDS, SHORT_SAMPLE_SECONDS = 1.0, 0.25
SHORT = (
    100_000  # resolutions; below, rows are taken more often, and fewer identifiers are asked for
)
RECORDS, SHORT_RECORDS = 5_000, 1_000
KEYS, SHORT_KEYS = 2_000, 400


class Wish(NamedTuple):
    """What the command line says."""

    resolutions: int
    workers: int
    out: Path
    latency_seconds: float
    data_dir: Path | None = None
    corpus: Path | None = None

    @property
    def is_short(self) -> bool:
        """True for a trial."""
        return self.resolutions < SHORT


class Proof(NamedTuple):
    """What was found: the four counts, and what does not hold."""

    counts: FourCounts
    faults: list[str]


class _Asked(NamedTuple):
    """The campaign when all is asked."""

    announced: Announced
    traffic: Traffic
    before: Mark
    after: Mark
    samples: list[Sample]


def prove(wish: Wish, told: Told) -> Proof:
    """Make a proof, and write it to `wish.out`, which is not there yet.

    Raises NoScene, StandError, LearningError, and what the steps raise.
    """
    started = now_us()
    wish.out.mkdir(parents=True)
    with _scene(wish) as scene:
        return prove_on(scene, wish, told, started)


def prove_on(scene: Scene, wish: Wish, told: Told, started: int) -> Proof:
    """Make a proof of a node that runs, into a directory that is there and empty.  Raises as `prove`."""
    times = {"started": started}
    asked = _ask(scene, wish, times, told)
    log = _conclude(scene, asked, told)
    told.stage("taking the evidence")
    counts = _take_evidence(scene, wish, asked, log)
    told.stage("verifying offline")
    verdict = evidence.verify(wish.out, Believed(toplevel=log.confirmed.witness))
    faults = [*_missing(log), *counts.differences(), *_faults(asked.traffic), *verdict.faults]
    times["finished"] = now_us()
    found = Findings(
        campaign=asked.announced.leaf,
        log=log,
        counts=counts,
        asked=asked.traffic.asked,
        samples=asked.samples,
        verdict=verdict,
        faults=faults,
        times=times,
        machine=machine(),
        versions=versions(),
        workers=scene.settings.workers,
        is_own=scene.is_own,
        command=_command(wish),
        digests=_digests(wish.out),
    )
    told.stage("writing the report")
    issue(scene, wish.out, log.origin, found.campaign.number, document(found))
    return Proof(counts, faults)


def _take_evidence(scene: Scene, wish: Wish, asked: _Asked, log: Log) -> FourCounts:
    """Export, and count what there is in it."""
    evidence.export(scene, wish.out)
    evidence.write_scrapes(wish.out, asked.before, asked.after, asked.samples)
    counted = evidence.count_evidence(
        wish.out / evidence.EVIDENCE, asked.announced.leaf.number, asked.before.size
    )
    return FourCounts(
        client=asked.traffic.client,
        ledger=counted.protocols,
        metrics=gained(asked.before.metrics, asked.after.metrics),
        toplevel=log.confirmed.protocols,
        others=counted.others,
    )


@contextmanager
def _scene(wish: Wish) -> Iterator[Scene]:
    if wish.data_dir is None:
        with own_scene(wish.workers, SHORT_RECORDS if wish.is_short else RECORDS) as scene:
            yield scene
        return
    with (
        TemporaryDirectory(prefix="idnode-proof-") as name,
        running_scene(wish.data_dir, wish.corpus, Path(name)) as scene,
    ):
        yield scene


def _ask(scene: Scene, wish: Wish, times: dict[str, int], told: Told) -> _Asked:
    """Announce, and ask all there is to ask."""
    told.stage("announcing the campaign")
    announced = steps.open_campaign(scene, wish.resolutions)
    told.stage("loading records")
    scene.load()
    told.stage("waiting for the campaign to open")
    steps.wait_until_open(
        scene, announced, lambda left: told.waiting(f"the campaign opens in {left:.0f} s")
    )
    told.stage("learning the right answers")
    keys = SHORT_KEYS if wish.is_short else KEYS
    traffic = Traffic(scene, announced.sources, keys)
    before = steps.quiet_mark(scene)
    times["asking"] = now_us()
    every = SHORT_SAMPLE_SECONDS if wish.is_short else SAMPLE_SECONDS
    with sampling(scene, os.getpid(), every) as samples:
        told.stage("asking, as fast as it answers")
        traffic.closed_loop(wish.resolutions, told.answered)
        told.stage("asking at a fixed rate")
        traffic.open_loop(wish.latency_seconds, told.more)
    times["asked"] = now_us()
    told.stage("sealing")
    return _Asked(announced, traffic, before, steps.quiet_mark(scene), samples.rows)


def _conclude(scene: Scene, asked: _Asked, told: Told) -> Log:
    """Close, have cosigned and acknowledged; return the places in the log, and what is confirmed."""
    number = asked.announced.leaf.number
    _, closed = steps.conclude(scene, number)
    told.stage("waiting for the top-level node")
    confirmed = confirm(scene, number, closed)
    beacon, published = HeadFiles(scene.ledger).beacon(), scene.files.published()
    newest = beacon.note if beacon else published
    return Log(
        origin=scene.origin,
        opened=asked.announced.at,
        counted_from=asked.before.size,
        closed=closed,
        confirmed=confirmed,
        head=newest.encode().decode() if newest else "",
        leaves=Checkpoint.parse(newest.text).size if newest else 0,
    )


def _missing(log: Log) -> Iterator[str]:
    if log.confirmed.missing:
        yield unacknowledged(log.confirmed.missing)


def _faults(traffic: Traffic) -> Iterator[str]:
    for protocol, asked in traffic.asked.items():
        if asked.wrong:
            yield f"over {protocol}: {asked.wrong} wrong answers, such as {asked.faults[0][:500]}"


def _digests(directory: Path) -> dict[str, str]:
    return {
        SHA256SUMS: evidence.sums_digest(directory),
        **{
            name: evidence.file_digest(directory / name)
            for name in (evidence.SCRAPES, evidence.LOG_KEY, evidence.POLICY)
        },
    }


def _command(wish: Wish) -> str:
    words = [f"--resolutions {wish.resolutions}"]
    words += [f"--node {wish.data_dir}"] if wish.data_dir else [f"--workers {wish.workers}"]
    return f"{Path(sys.executable).name} -m loadtest prove {' '.join(words)}"
