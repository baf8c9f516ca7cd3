"""Cosigning by real witnesses and by wrong ones: growth, quorum, forks, roll-backs, and what is left on the disk."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import copytree, rmtree

import httpx
import pytest

from node.ledger.agreement import Disagreement
from node.ledger.checkpoint import Checkpoint
from node.ledger.cosigning import Cosigning
from node.ledger.heads import HeadFiles
from node.ledger.keys import NoteError
from node.ledger.logfiles import LogFiles
from node.ledger.note import Ed25519Signer, Note
from node.ledger.quorum import Policy
from node.ledger.standing import GAP_SECONDS, HEALTHY_SECONDS, Standing
from node.ledger.submission import Submission
from node.ledger.witness import MAX_CLOCK_SECONDS
from node.store.database import StoreUnavailable
from node.store.ledger import Cosignature
from resolver.observe import CELL_COUNT, Event, Tally, event_cell
from tests.support.logs import WrittenLog, make_leaves
from tests.support.waiting import until
from tests.support.witnesses import Answer, ScriptedWitness, WitnessProcess, serving, signed, submit

LEAVES = make_leaves(1_500)
FOR_EVER = 3_600.0


class Ledger:
    """A log of our own in a directory, as a node has it, and a policy for it."""

    def __init__(self, directory: Path) -> None:
        self.log = WrittenLog()
        self.files = LogFiles(directory)
        self.files.make()
        self.rows: list[Cosignature] = []
        self.has_database = True
        self.cells = [0] * CELL_COUNT

    def grow(self, size: int) -> None:
        """Add leaves and publish the checkpoint."""
        self.log.append(LEAVES[self.log.size : size])
        self.publish()

    def publish(self) -> None:
        self.log.write(self.files.directory / "log", signed(self.log))

    def happened(self, event: Event) -> int:
        return self.cells[event_cell(event)]

    async def keep_rows(self, rows: Sequence[Cosignature]) -> None:
        if not self.has_database:
            raise StoreUnavailable("no database")
        self.rows += rows

    def cosigning(self, policy: Policy, round_seconds: float = FOR_EVER) -> Cosigning:
        return Cosigning(
            self.files,
            policy,
            Tally(self.cells),
            self.keep_rows,
            round_seconds=round_seconds,
            attempt_seconds=5.0,
            first_pause_seconds=0.05,
        )

    @asynccontextmanager
    async def cosigned_by(
        self, policy: Policy, round_seconds: float = FOR_EVER
    ) -> AsyncIterator[Cosigning]:
        """Have it cosigned for as long as the block lasts."""
        cosigning = self.cosigning(policy, round_seconds)
        running = asyncio.create_task(cosigning.run())
        try:
            yield cosigning
            assert not running.done(), running.result()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await cosigning.close()

    def head(self, size: int) -> Note | None:
        return self.files.head(size)

    def beacon(self) -> Checkpoint | None:
        found = HeadFiles(self.files.directory).beacon()
        return None if found is None else Checkpoint.parse(found.note.text)


def policy_of(
    *witnesses: WitnessProcess | ScriptedWitness, quorum: str = "all", log: WrittenLog | None = None
) -> Policy:
    lines = [f"log {(log or WrittenLog()).signer.key}"]
    lines += [f"witness w{no} {w.cosigner.key} {w.url}" for no, w in enumerate(witnesses)]
    names = " ".join(f"w{no}" for no in range(len(witnesses)))
    return Policy.parse("\n".join([*lines, f"group g {quorum} {names}", "quorum g", ""]).encode())


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def witnesses(tmp_path: Path) -> Iterator[list[WitnessProcess]]:
    made = [WitnessProcess(tmp_path, name, WrittenLog().signer.key) for name in ("top", "auditor")]
    try:
        for each in made:
            each.start()
        yield made
    finally:
        for each in made:
            each.end()


async def test_quorum_cosigns_growth_and_the_newest_head_is_the_beacon(
    ledger: Ledger, witnesses: list[WitnessProcess]
) -> None:
    policy = policy_of(*witnesses)
    ledger.grow(600)
    async with ledger.cosigned_by(policy) as cosigning:
        await until(lambda: cosigning.standing.size == 600)
        ledger.grow(1_000)
        cosigning.ask_now()
        await until(lambda: cosigning.standing.size == 1_000)
    for size in (600, 1_000):
        note = ledger.head(size)
        assert note is not None
        assert policy.is_met(note)
    assert ledger.beacon() == ledger.log.checkpoint()
    assert sorted((row.size, row.witness) for row in ledger.rows) == [
        (600, "w0"), (600, "w1"), (1_000, "w0"), (1_000, "w1"),
    ]  # fmt: skip
    assert ledger.happened(Event.HEAD_COSIGNED) == 2
    assert ledger.happened(Event.WITNESS_FAILED) == 0


async def test_after_a_restart_and_at_the_same_size_it_goes_on(
    ledger: Ledger, witnesses: list[WitnessProcess]
) -> None:
    policy = policy_of(*witnesses)
    ledger.grow(600)
    async with ledger.cosigned_by(policy) as cosigning:
        await until(lambda: cosigning.standing.size == 600)
    first = ledger.head(600)
    async with ledger.cosigned_by(policy) as cosigning:
        assert cosigning.standing.size == 600
        await until(lambda: ledger.happened(Event.HEAD_COSIGNED) == 2)
    assert ledger.head(600) == first  # the times at which it was seen first stay
    (ledger.files.directory / "beacon").unlink()
    ledger.grow(700)
    async with ledger.cosigned_by(policy) as cosigning:  # the witnesses say from where on
        await until(lambda: cosigning.standing.size == 700)


async def test_witness_that_is_down_does_not_keep_a_quorum_from_being_met(
    ledger: Ledger, witnesses: list[WitnessProcess]
) -> None:
    top, auditor = witnesses
    top.stop()
    ledger.grow(600)
    async with ledger.cosigned_by(policy_of(top, auditor, quorum="any")) as cosigning:
        await until(lambda: cosigning.standing.size == 600)
        await until(lambda: ledger.happened(Event.WITNESS_FAILED) > 1)
        top.start()
        await until(lambda: len(ledger.rows) == 2, 60)
        await until(lambda: len((ledger.head(600) or Note("x\n")).signatures) == 3)


async def test_without_a_quorum_nothing_counts_as_cosigned(
    ledger: Ledger, witnesses: list[WitnessProcess]
) -> None:
    top, auditor = witnesses
    top.stop()
    ledger.grow(600)
    async with ledger.cosigned_by(policy_of(top, auditor)) as cosigning:
        await until(lambda: len(ledger.rows) == 1)
        await until(lambda: ledger.happened(Event.WITNESS_FAILED) > 1)
        assert cosigning.standing.size == 0
    assert (ledger.head(600), ledger.beacon()) == (None, None)


async def test_lines_of_two_heads_make_no_quorum(ledger: Ledger) -> None:
    """A quorum is met under one text, in one round."""
    one, other = ScriptedWitness("one"), ScriptedWitness("other")
    other.answer = lambda _asked: (500, b"")
    async with serving(one, other):
        ledger.grow(600)
        async with ledger.cosigned_by(policy_of(one, other)) as cosigning:
            await until(lambda: len(ledger.rows) == 1 and bool(other.asked))
            one.answer, other.answer = other.answer, other.cosigns
            cosigning.ask_now()  # the same head again: what was cosigned in the last round is not from this minute
            await until(lambda: len(ledger.rows) == 2 and len(one.asked) > 2)
            assert cosigning.standing.size == 0


async def test_line_that_the_published_checkpoint_has_already_is_not_from_this_round(
    ledger: Ledger,
) -> None:
    one, other = ScriptedWitness("one"), ScriptedWitness("other")
    other.answer = lambda _asked: (500, b"")
    async with serving(one, other):
        ledger.grow(7)
        old = other.line(Submission(0, (), signed(ledger.log)), 1_700_000_000)
        ledger.log.write(ledger.files.directory / "log", signed(ledger.log).signed(old))
        async with ledger.cosigned_by(policy_of(one, other)) as cosigning:
            await until(lambda: len(ledger.rows) == 1 and len(other.asked) > 1)
            assert cosigning.standing.size == 0


async def test_refusal_by_one_stops_asking_the_others(ledger: Ledger) -> None:
    refusing, failing = ScriptedWitness("refusing"), ScriptedWitness("failing")
    refusing.answer = lambda _asked: (422, b"another root\n")
    failing.answer = lambda _asked: (500, b"")
    async with serving(refusing, failing):
        ledger.grow(7)
        async with ledger.cosigned_by(policy_of(refusing, failing)) as cosigning:
            await until(lambda: bool(cosigning.standing.refusals) and bool(failing.asked))
            asked = len(failing.asked)
            await asyncio.sleep(0.5)  # ten pauses
    assert len(failing.asked) <= asked + 1  # what was under way


def test_head_keeps_the_lines_that_it_got_first(tmp_path: Path) -> None:
    one, other = ScriptedWitness("one"), ScriptedWitness("other")
    log = WrittenLog()
    log.append(LEAVES[:7])
    note, heads = signed(log), HeadFiles(tmp_path)
    asked = Submission(0, (), note)
    first, later, third = (one.line(asked, 1), one.line(asked, 2), other.line(asked, 2))
    heads.archive(note.signed(first), is_newest=True)
    heads.archive(note.signed(later, third), is_newest=True)
    kept = Note.parse((tmp_path / "heads" / "7.note").read_bytes())
    assert kept.signatures[1:] == (first, third)
    forged = WrittenLog()
    forged.append([b"another leaf", *LEAVES[1:7]])
    with pytest.raises(NoteError, match="fork"):
        heads.archive(signed(forged), is_newest=True)


async def test_slow_witness_delays_no_other(ledger: Ledger) -> None:
    slow, quick = ScriptedWitness("slow"), ScriptedWitness("quick")
    slow.delay_seconds = FOR_EVER
    async with serving(slow, quick):
        ledger.grow(10)
        async with ledger.cosigned_by(policy_of(slow, quick, quorum="any")) as cosigning:
            for size in (20, 30, 40):
                ledger.grow(size)
                cosigning.ask_now()
                await until(lambda size=size: cosigning.standing.size == size, 3)  # type: ignore[misc]
    assert len(slow.asked) == 1


async def test_fork_stops_everything_until_a_person_has_looked(
    ledger: Ledger, witnesses: list[WitnessProcess]
) -> None:
    policy = policy_of(*witnesses, quorum="any")
    thief = WrittenLog()
    thief.append([b"another leaf", *LEAVES[1:600]])
    with httpx.Client(trust_env=False) as client:
        assert submit(client, witnesses[0].url, thief, 0).status_code == 200
    ledger.grow(600)
    async with ledger.cosigned_by(policy) as cosigning:
        await until(lambda: bool(cosigning.standing.refusals))
        assert ledger.happened(Event.WITNESS_REFUSED) == 1
        assert HeadFiles(ledger.files.directory).refusals() == cosigning.standing.refusals
        ledger.grow(700)
        for _ in range(3):
            cosigning.ask_now()
            await asyncio.sleep(0.05)
        assert 700 not in {row.size for row in ledger.rows}
        assert ledger.happened(Event.WITNESS_REFUSED) == 1
        assert not cosigning.standing.is_healthy(time.time())
    (refused,) = (ledger.files.directory / "refused").iterdir()
    told = json.loads(refused.read_bytes())
    assert (told["cause"], told["witness"]) == ("fork", str(witnesses[0].key))
    assert str(refused) in told["why"]
    async with ledger.cosigned_by(policy) as cosigning:  # a restart changes nothing
        with pytest.raises(Disagreement, match="another history"):
            cosigning.check()
        with pytest.raises(Disagreement, match="another history"):
            await cosigning.witnessed_size(signed(ledger.log))
        refused.unlink()
        witnesses[0].stop()
        cosigning.ask_now()
        await until(lambda: cosigning.standing.size == 700)


async def test_forked_growth_is_a_fork(ledger: Ledger, witnesses: list[WitnessProcess]) -> None:
    policy = policy_of(*witnesses)
    ledger.grow(600)
    async with ledger.cosigned_by(policy) as cosigning:
        await until(lambda: cosigning.standing.size == 600)
    rmtree(ledger.files.directory / "log")
    ledger.log = WrittenLog()
    ledger.log.append([b"another leaf", *LEAVES[1:1_000]])
    ledger.publish()
    async with ledger.cosigned_by(policy) as cosigning:
        await until(lambda: bool(cosigning.standing.refusals))
    assert ledger.beacon() != ledger.log.checkpoint()
    assert ledger.head(1_000) is None


async def test_log_from_a_backup_refuses_to_start_and_to_be_cosigned(
    ledger: Ledger, witnesses: list[WitnessProcess], tmp_path: Path
) -> None:
    policy = policy_of(*witnesses)
    ledger.grow(600)
    copytree(ledger.files.directory, tmp_path / "backup")
    backup = Ledger(tmp_path / "backup")
    backup.log.append(LEAVES[:600])
    ledger.grow(1_000)
    async with ledger.cosigned_by(policy) as cosigning:
        await until(lambda: cosigning.standing.size == 1_000)
    async with backup.cosigned_by(policy) as cosigning:
        note = backup.files.published()
        assert note is not None
        assert await cosigning.witnessed_size(note) == 1_000  # with which the log does not open
        await until(lambda: bool(cosigning.standing.refusals))
        assert (
            "has cosigned 1000 leaves of this log, which has 600 here"
            in cosigning.standing.refusals[0]
        )
    (refused,) = {
        json.loads(path.read_bytes())["cause"]
        for path in (tmp_path / "backup" / "refused").iterdir()
    }
    assert refused == "ahead"


async def test_log_that_was_lost_and_begun_again_is_known_to_its_witnesses(
    ledger: Ledger, witnesses: list[WitnessProcess], tmp_path: Path
) -> None:
    policy = policy_of(*witnesses)
    empty = signed(WrittenLog())
    fresh = ledger.cosigning(policy)
    assert await fresh.witnessed_size(empty) == 0
    ledger.grow(600)
    async with ledger.cosigned_by(policy) as cosigning:
        await until(lambda: cosigning.standing.size == 600)
        note = ledger.files.published()
        assert note is not None
        assert await cosigning.witnessed_size(note) == 600
    assert await fresh.witnessed_size(empty) == 600
    other = WrittenLog()
    other.append([b"another leaf", *LEAVES[1:600]])
    with pytest.raises(Disagreement, match="two histories were signed"):
        await fresh.witnessed_size(signed(other))
    with pytest.raises(Disagreement, match="another history"):  # and is not asked again
        await fresh.witnessed_size(empty)
    await fresh.close()
    rmtree(ledger.files.directory / "refused")
    fresh = ledger.cosigning(policy)
    for each in witnesses:
        each.stop()
    assert await fresh.witnessed_size(empty) == 0  # nobody to ask: the first round will tell
    await fresh.close()


def _lies() -> dict[str, Callable[[ScriptedWitness], Answer]]:
    stranger = ScriptedWitness("stranger")

    def later(by: float) -> Callable[[ScriptedWitness], Answer]:
        return lambda w: lambda asked: (200, w.line(asked, int(time.time() + by)).line.encode())

    def of_another_tree(w: ScriptedWitness) -> Answer:
        log = WrittenLog()
        log.append([b"another leaf"])
        return lambda _asked: (
            200,
            w.line(Submission(0, (), signed(log)), int(time.time())).line.encode(),
        )

    def with_flipped_bit(w: ScriptedWitness) -> Answer:
        def answer(asked: Submission) -> tuple[int, bytes]:
            line = w.line(asked, int(time.time()))
            return 200, line._replace(
                data=line.data[:-1] + bytes([line.data[-1] ^ 1])
            ).line.encode()

        return answer

    def under_a_stolen_name(w: ScriptedWitness) -> Answer:
        return lambda asked: (
            200,
            stranger.line(asked, int(time.time()))
            ._replace(name=w.cosigner.name, key_id=w.cosigner.key.id)
            .line.encode(),
        )

    return {
        "another key": lambda _w: stranger.cosigns,
        "a stolen name": under_a_stolen_name,
        "a flipped bit": with_flipped_bit,
        "another tree": of_another_tree,
        "the future": later(MAX_CLOCK_SECONDS + 60),
        "the past": later(-MAX_CLOCK_SECONDS - 60),
        "no line": lambda _w: lambda _asked: (200, b""),
        "no text": lambda _w: lambda _asked: (200, b"\xff\xfe\n"),
        "too long": lambda _w: lambda _asked: (200, b"x" * 100_000),
        "a size that is none": lambda _w: lambda _asked: (409, b"many\n"),
        "a smaller size each time": lambda _w: lambda asked: (409, b"%d\n" % ((asked.old + 1) % 7)),
        "a redirect": lambda _w: lambda _asked: (302, b""),
        "not known": lambda _w: lambda _asked: (404, b"who?\n"),
        "not signed": lambda _w: lambda _asked: (403, b""),
        "busy": lambda _w: lambda _asked: (503, b""),
    }


@pytest.mark.parametrize("lie", _lies())
async def test_answer_that_cannot_be_believed_is_no_cosignature(ledger: Ledger, lie: str) -> None:
    liar, honest = ScriptedWitness("liar"), ScriptedWitness("honest")
    liar.answer = _lies()[lie](liar)
    async with serving(liar, honest):
        ledger.grow(7)
        async with ledger.cosigned_by(policy_of(liar, honest)) as cosigning:
            await until(lambda: ledger.happened(Event.WITNESS_FAILED) > 1 and bool(ledger.rows))
            assert cosigning.standing.size == 0
            assert cosigning.standing.refusals == ()
            liar.answer = liar.cosigns
            await until(lambda: cosigning.standing.size == 7)  # it is asked again
    assert {row.witness for row in ledger.rows} == {"w0", "w1"}


async def test_lines_of_others_beside_the_right_one_are_left_out(ledger: Ledger) -> None:
    witness, stranger = ScriptedWitness("witness"), ScriptedWitness("stranger")
    witness.answer = lambda asked: (200, stranger.cosigns(asked)[1] + witness.cosigns(asked)[1])
    async with serving(witness):
        ledger.grow(7)
        async with ledger.cosigned_by(policy_of(witness)) as cosigning:
            await until(lambda: cosigning.standing.size == 7)
    note = ledger.head(7)
    assert note is not None
    assert [line.name for line in note.signatures] == [ledger.log.signer.name, "witness.example/w"]


async def test_witness_that_forgot_is_not_believed(ledger: Ledger) -> None:
    witness = ScriptedWitness("witness")
    async with serving(witness):
        ledger.grow(7)
        async with ledger.cosigned_by(policy_of(witness)) as cosigning:
            await until(lambda: cosigning.standing.size == 7)
            witness.answer = lambda asked: (
                (409, b"3\n") if asked.old == 7 else witness.cosigns(asked)
            )
            ledger.grow(20)
            cosigning.ask_now()
            await until(lambda: ledger.happened(Event.WITNESS_FAILED) > 1)
            assert cosigning.standing.size == 7


async def test_witness_that_asks_for_time_gets_it(ledger: Ledger) -> None:
    witness = ScriptedWitness("witness")
    witness.answer, witness.headers = lambda _asked: (503, b""), b"retry-after: 30\r\n"
    async with serving(witness):
        ledger.grow(7)
        async with ledger.cosigned_by(policy_of(witness)):
            await until(lambda: ledger.happened(Event.WITNESS_FAILED) == 1)
            await asyncio.sleep(0.5)  # ten times the usual pause
    assert len(witness.asked) == 1


async def test_head_is_cosigned_while_the_database_is_away(ledger: Ledger) -> None:
    witness = ScriptedWitness("witness")
    ledger.has_database = False
    async with serving(witness):
        ledger.grow(7)
        async with ledger.cosigned_by(policy_of(witness)) as cosigning:
            await until(lambda: cosigning.standing.size == 7)


async def test_checkpoint_of_no_log_of_the_policy_is_not_counted(ledger: Ledger) -> None:
    witness = ScriptedWitness("witness")
    async with serving(witness):
        policy = policy_of(witness)
        ledger.log.signer = Ed25519Signer(ledger.log.signer.name, bytes(32))
        ledger.grow(7)
        async with ledger.cosigned_by(policy) as cosigning:
            await until(lambda: bool(ledger.rows))
            await asyncio.sleep(0.05)
            assert cosigning.standing.size == 0


async def test_policy_may_ask_for_nobody(ledger: Ledger) -> None:
    ledger.grow(7)
    policy = Policy.parse(f"log {ledger.log.signer.key}\nquorum none\n".encode())
    async with ledger.cosigned_by(policy) as cosigning:
        await until(lambda: cosigning.standing.size == 7)
    assert ledger.beacon() == ledger.log.checkpoint()


async def test_heads_are_cosigned_without_being_asked(ledger: Ledger) -> None:
    witness = ScriptedWitness("witness")
    async with serving(witness):
        ledger.grow(7)
        async with ledger.cosigned_by(policy_of(witness), round_seconds=0.1) as cosigning:
            await until(lambda: cosigning.standing.size == 7)
            ledger.grow(20)
            await until(lambda: cosigning.standing.size == 20)


def test_standing_tells_health_age_and_gaps() -> None:
    at = Standing(size=7, met_at=1_000.0)
    assert at.is_healthy(1_000.0 + HEALTHY_SECONDS)
    assert not at.is_healthy(1_001.0 + HEALTHY_SECONDS)
    assert "7 was cosigned 10 s ago" in at.note(1_010.0)
    assert "do not answer" in at.note(1_001.0 + HEALTHY_SECONDS)
    assert not Standing(7, 1_000.0, ("forked",)).is_healthy(1_000.0)
    assert "forked" in Standing(7, 1_000.0, ("forked",)).note(1_000.0)
    assert "no head" in Standing(0, 1_000.0).note(1_000.0)
    assert at.age(999.0) == 0.0
    assert at.gap_due(0, 999.0 + GAP_SECONDS) is None
    assert at.gap_due(0, 1_000.0 + GAP_SECONDS) == (1_000_000_000, 1_900_000_000)
    assert at.gap_due(1_900.0, 2_000.0) is None
    assert at.gap_due(1_900.0, 2_800.0) == (1_900_000_000, 2_800_000_000)
