"""Kill workers, keeper, stores and the whole node under load by all ways, and hold the audit ledger to its promises.

    python -m loadtest.kill_ledger --kills 200 --seed 1

A node with its embedded servers, two workers and a witness; one process after the other, or all, is killed with SIGKILL
at a random moment.  In the end everything is sealed and cosigned, the evidence is taken, and `idnode audit verify`
judges it offline, with the canaries.  Held to: what `loadtest.accounts` says, and the verifier's exit code 0 or 1.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random

import uvloop

from loadtest.accounts import compare, recognise, records_of, table
from loadtest.fuzz_ports import log_faults
from loadtest.kill_writes import KILLED
from loadtest.sizes import load_corpus
from loadtest.stand import HOST, Stand, open_stand
from loadtest.steady_load import SteadyLoad
from loadtest.verdict import conclude, say
from loadtest.victims import Running, Victim, kill, make_whole, start_on_fixed_ports
from loadtest.witnessed import Auditor, Verdict, keys_of

WORKERS = 2
PREFIX = "88.4711.1"
NAMES, ABSENT = 400, 50  # that are asked again and again; of these are so many not there
CANARIES_A_KILL = 20  # names; each is asked once
REST_SECONDS = 1.5  # at most, between a node that is whole again and the next kill
SETTLE_SECONDS = (
    125.0  # the verifier expects no canary that was asked within two minutes of the head
)
TURNS = (
    Victim.WORKER,
    Victim.KEEPER,
    Victim.POSTGRES,
    Victim.WORKER,
    Victim.VALKEY,
    Victim.EVERYTHING,
    Victim.WORKER,
    Victim.KEEPER,
    Victim.SUPERVISOR,
    Victim.WORKER,
)


class Campaign:
    """One node under load, and who is killed."""

    def __init__(self, running: Running, load: SteadyLoad, seed: int) -> None:
        self.killed: Counter[Victim] = Counter()
        self.whole_seconds: dict[Victim, float] = {}
        self._running, self._load = running, load
        self._dice = Random(seed)

    async def run(self, victims: Sequence[Victim]) -> None:
        """Kill one after the other under load.  Raises NotWhole."""
        stop = asyncio.Event()
        asking = asyncio.create_task(self._load.run(stop))
        try:
            for number, victim in enumerate(victims, 1):
                await asyncio.sleep(self._dice.uniform(0.1, REST_SECONDS))
                await self._kill(victim)
                if number % 10 == 0 or number == len(victims):
                    answered = self._load.journal.answered.total()
                    say(f"{number}/{len(victims)} kills, {answered:,} answers")
        finally:
            stop.set()
            await asking

    async def _kill(self, victim: Victim) -> None:
        began = time.monotonic()
        killed = kill(self._running.node, victim, self._dice)
        self.killed[victim] += 1
        await make_whole(self._running, victim, killed)
        longest = self.whole_seconds.get(victim, 0.0)
        self.whole_seconds[victim] = max(longest, time.monotonic() - began)


def run(
    kills: int, seed: int, victims: Sequence[Victim] = TURNS, settle: float = SETTLE_SECONDS
) -> list[str]:
    """Start a node, kill so often, judge; print what was found, and return what does not hold."""
    with open_stand() as stand, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        auditor = Auditor(stand)
        settings = {"WORKERS": str(WORKERS), "COUNT_LOOPBACK": "true", **auditor.settings}
        running = start_on_fixed_ports(stand, "killed", settings)
        auditor.watch(running.node)
        canaries = [
            f"{PREFIX}/canary-{Random(f'{seed}-{n}').randbytes(8).hex()}"
            for n in range(kills * CANARIES_A_KILL)
        ]
        names = _load_names(stand, running, canaries)
        load = SteadyLoad(running.node, names, canaries, seed)
        campaign = Campaign(running, load, seed)
        runner.run(campaign.run(list(islice(cycle(victims), kills))))
        time.sleep(settle)
        faults = runner.run(_judge(auditor, running, load, Random(seed)))
        told = list(log_faults(running.node.log, *KILLED))
    for victim, seconds in campaign.whole_seconds.items():
        say(f"{campaign.killed[victim]} × {victim}, whole again after {seconds:.1f} s at most")
    return [*faults, *told]


def _load_names(stand: Stand, running: Running, canaries: Sequence[str]) -> list[str]:
    """Load the records of all names but those that shall not be there; return the names of the load."""
    names = [f"{PREFIX}/item-{number}" for number in range(NAMES)]
    url = {"index": 1, "type": "URL", "data": "https://example.cn/a"}
    lines: list[object] = [{"handle": f"0.NA/{PREFIX}", "values": []}]
    lines += [{"handle": name, "values": [url]} for name in (*names[ABSENT:], *canaries)]
    file: Path = stand.directory / "names.ndjson"
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    load_corpus(running.node, file, len(lines), waiting_for=names[-1].encode())
    return names


async def _judge(auditor: Auditor, running: Running, load: SteadyLoad, dice: Random) -> list[str]:
    """Seal, kill the keeper once more (its successor has the head cosigned at once), take the evidence, compare."""
    size = await asyncio.to_thread(auditor.seal, running.node)
    await make_whole(running, Victim.KEEPER, kill(running.node, Victim.KEEPER, dice))
    await asyncio.to_thread(auditor.wait_for_head, running.node, size)
    evidence = auditor.take(running.node)
    noted = evidence.with_suffix(".csv")
    load.journal.write_canaries(noted)
    verdict = auditor.verify(evidence, running.node, canaries=noted)
    counted = recognise(records_of(evidence), load.journal, keys_of(running.node), (HOST,))
    for line in (*table(load.journal, counted), *_summary(verdict), *_gaps(evidence)):
        say(line)
    return [*compare(load.journal, counted), *verdict.faults]


def _summary(verdict: Verdict) -> list[str]:
    lines = [verdict.line(rule) for rule in ("V4", "V9", "R2", "R7", "VERDICT")]
    return [*lines, f"exit code {verdict.code}, after {verdict.seconds:.1f} s"]


def _gaps(evidence: Path) -> list[str]:
    lines = (evidence / "leaves.jsonl").read_text().splitlines()
    leaves = [json.loads(line) for line in lines]
    epochs = sum(leaf["k"] == "ep" and leaf["state"] == "open" for leaf in leaves)
    gaps = Counter(leaf["cause"] for leaf in leaves if leaf["k"] == "gap")
    told = ", ".join(f"{count} × {cause}" for cause, count in gaps.items()) or "none"
    return [f"{len(leaves):,} leaves, {epochs:,} epochs of lanes; gaps: {told}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="kill_ledger", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", type=Victim, choices=list(Victim))
    parser.add_argument("--settle", type=float, default=SETTLE_SECONDS, metavar="SECONDS")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    faults = run(chosen.kills, chosen.seed, chosen.only or TURNS, chosen.settle)
    return conclude(faults)


if __name__ == "__main__":
    sys.exit(main())
