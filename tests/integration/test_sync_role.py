"""The keeper's role towards the top-level node: one at a time, whatever is missing, and what operators see of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node.settings import Settings
from node.store.changes import prune_changes
from node.store.resending import send_again
from node.store.standing import newest_evidence, read_sync_standing
from node.upstream.levels import levels_of
from node.upstream.quiet import is_due, last_due
from node.upstream.role import NotSending, Pauses, State, SyncRole
from resolver.keys.signing import SigningKey, SigningKind
from sync.change import END, Place
from sync.testing import MemoryInbox
from tests.support.https_peer import HttpsPeer
from tests.support.outboxes import Office, office_on, sender_pool
from tests.support.papers import OVER, Issuer
from tests.support.registry import SEAL
from tests.support.syncing import rejects_bad
from tests.support.waiting import until

QUICK = Pauses(*[0.05] * 5)
ROW = Place("6", "91500000MA5UABCD1X")

pytestmark = pytest.mark.db


@dataclass(frozen=True, slots=True)
class Stage:
    """A peer that listens, the node's settings, and its outbox."""

    issuer: Issuer
    peer: HttpsPeer
    settings: Settings
    office: Office

    @asynccontextmanager
    async def role(self, settings: Settings | None = None) -> AsyncIterator[SyncRole]:
        """A role that runs while the block does, and then ends."""
        role = SyncRole(settings or self.settings, SEAL, pauses=QUICK)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(role.run())
            yield role
            await role.end()
            await running

    async def in_step(self) -> None:
        """Return when the peer has all there is."""
        async with asyncio.timeout(30):
            while not await self._is_in_step():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)

    async def _is_in_step(self) -> bool:
        session, serial, _, acknowledged, complete = await self.office.outbox.standing()
        stands = self.peer.inbox.stands == (session, serial, END)
        return stands and complete and acknowledged == serial


@pytest.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[Stage]:
    issuer, key = Issuer.make(tmp_path), SigningKey.make(SigningKind.ED25519)
    (tmp_path / "sync.pem").write_bytes(key.pem)
    peer = HttpsPeer({key.key_id: key.public}, inbox=MemoryInbox(rejects_bad))
    async with (
        peer.serving(issuer.issue_server("peer"), issuer.path),
        sender_pool(database_url) as database,
    ):
        settings = Settings(
            data_dir=tmp_path,
            database_url=database_url,
            sync_url=peer.url,
            sync_certificate=issuer.issue_client("node"),
            sync_authority=issuer.path,
            sync_signing_key=tmp_path / "sync.pem",
        )
        yield Stage(issuer, peer, settings, office_on(database))


async def test_rows_and_their_changes_reach_the_peer_and_a_heartbeat_does(stage: Stage) -> None:
    await stage.office.put(*ROW, b"{}")
    async with stage.role() as role:
        await stage.in_step()
        await stage.office.put(*ROW, b'{"name":"x"}')
        await stage.in_step()
        assert stage.peer.inbox.held[ROW].body == b'{"name":"x"}'
        await until(lambda: role.standing().beat_at > 0)
        assert role.standing().state is State.SENDING
    beat = stage.peer.beats[0]
    assert beat["node_prefix"] == "88.118"
    assert str(beat["certificate_end"]) > datetime.now(UTC).isoformat()
    assert {"version", "uptime_seconds", "serial", "acknowledged", "session"} <= beat.keys()


async def test_second_instance_stands_by_and_takes_over(stage: Stage) -> None:
    async with stage.role() as second_to_go:
        await until(lambda: second_to_go.standing().state is State.SENDING)
        async with stage.role() as other:
            await until(lambda: "another instance" in other.standing().reason)
            with pytest.raises(NotSending, match="another instance"):
                other.verify()
            await second_to_go.end()
            await until(lambda: other.standing().state is State.SENDING)
            await stage.office.put(*ROW, b"{}")
            await stage.in_step()


async def test_connection_of_the_lock_that_is_cut_lets_another_begin(stage: Stage) -> None:
    async with stage.role() as role:
        await stage.in_step()
        async with stage.office.database.connection() as connection:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
                " and pid <> pg_backend_pid()"
            )
        await stage.office.put(*ROW, b"{}")
        await stage.in_step()
        await until(lambda: role.standing().state is State.SENDING)


async def test_file_that_is_missing_is_named_and_used_once_it_is_there(stage: Stage) -> None:
    late = stage.issuer.path.with_name("late.pem")
    async with stage.role(replace(stage.settings, sync_certificate=late)) as role:
        await until(lambda: role.standing().state is State.WAITING)
        assert str(late) in role.standing().reason
        stage.issuer.issue_client("late")
        await stage.in_step()


WITH_WRONG: dict[str, Callable[[Settings, Path], Settings]] = {
    "certificate": lambda settings, wrong: replace(settings, sync_certificate=wrong),
    "key": lambda settings, wrong: replace(settings, sync_key=wrong),
    "authority": lambda settings, wrong: replace(settings, sync_authority=wrong),
    "signing key": lambda settings, wrong: replace(settings, sync_signing_key=wrong),
    "peer's keys": lambda settings, wrong: replace(settings, sync_peer_keys=wrong),
}


@pytest.mark.parametrize("file", WITH_WRONG)
async def test_file_that_holds_the_wrong_thing_is_named(
    stage: Stage, tmp_path: Path, file: str
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("nothing of the kind")
    async with stage.role(WITH_WRONG[file](stage.settings, wrong)) as role:
        await until(lambda: role.standing().state is State.WAITING)
        assert str(wrong) in role.standing().reason


async def test_expired_certificate_of_ours_is_the_first_thing_told(stage: Stage) -> None:
    over = stage.issuer.issue_client("over", OVER)
    async with stage.role(replace(stage.settings, sync_certificate=over)) as role:
        await until(lambda: role.standing().state is State.LOST)
        assert role.standing().reason.startswith("our certificate expired on 20")
        over.write_bytes(stage.issuer.issue_client("renewed").read_bytes())  # and no restart
        await stage.in_step()
        assert "expired" not in role.standing().reason


async def test_signing_key_is_changed_without_a_restart_or_a_refusal(
    stage: Stage, tmp_path: Path
) -> None:
    async with stage.role() as role:
        await stage.in_step()
        new = SigningKey.make(SigningKind.SM2)
        stage.peer.keys[new.key_id] = new.public
        (tmp_path / "sync.pem").write_bytes(new.pem)
        await until(lambda: role.standing().signing_key == new.key_id)
        del stage.peer.keys[next(iter(stage.peer.keys))]
        await stage.office.put(*ROW, b"{}")
        await stage.in_step()
    assert stage.peer.refusals == []


async def test_signing_key_is_made_when_none_is_named(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "node.upstream.link")
    settings = replace(stage.settings, sync_signing_key=None)
    async with stage.role(settings) as role:
        await until(lambda: "is not known here" in role.standing().reason)
        key = SigningKey.load(tmp_path / "sync-signing.pem")
        assert (tmp_path / "sync-signing.pub").read_bytes() == key.public.pem
        assert (tmp_path / "sync-signing.pem").stat().st_mode & 0o77 == 0
        stage.peer.keys[key.key_id] = key.public
        await stage.in_step()
    assert "credentials were replaced" not in caplog.text


async def test_peer_that_is_away_is_told_and_found_again(stage: Stage) -> None:
    async with stage.role() as role:
        await stage.in_step()
        stage.peer.mischief.status = 503
        await stage.office.put(*ROW, b"{}")
        await until(lambda: role.standing().state is State.LOST)
        assert role.standing().reason == "the peer answers 503: as told"
        stage.peer.mischief.status = 0
        await stage.in_step()
        await until(lambda: role.standing().state is State.SENDING)


async def test_rows_that_drifted_are_repaired_when_asked(stage: Stage) -> None:
    await stage.office.put(*ROW, b"{}")
    async with stage.role() as role:
        await stage.in_step()
        stage.peer.inbox.held[ROW].body = b"drifted"
        role.verify()
        await until(lambda: stage.peer.inbox.held[ROW].body == b"{}")
        await _until_repaired(stage)


async def _until_repaired(stage: Stage) -> None:
    async with asyncio.timeout(10):
        while True:
            kept = await newest_evidence(stage.office.database)
            if kept is not None and kept.evidence.repaired:
                return
            await asyncio.sleep(0.02)


async def test_new_session_takes_back_what_the_restored_database_does_not_know(
    stage: Stage,
) -> None:
    await stage.office.put(*ROW, b"{}")
    async with stage.role() as role:
        await stage.in_step()
        stranger = Place("6", "from-the-lost-days")
        stage.peer.inbox.held[stranger] = type(stage.peer.inbox.held[ROW])(b"{}")
        name = await role.begin_session()
        assert name.startswith("88.118-20")
        await until(lambda: stage.peer.inbox.stands.session == name)
        await stage.in_step()
    assert set(stage.peer.inbox.rows()) == {ROW}


async def test_rejected_row_is_counted_and_sent_again_when_told_to(stage: Stage) -> None:
    database = stage.office.database
    await stage.office.put(*ROW, b"bad")
    await stage.office.put("6", "gone", b"bad")
    async with stage.role() as role:
        await stage.in_step()
        await stage.office.put("6", "gone", b"bad too")
        await stage.in_step()
        standing = await read_sync_standing(database)
        levels = levels_of(standing, None, role.standing(), 0.0)
        assert levels.tables["6"].rejected == 2
        stage.peer.inbox.judge = lambda _place, _body: ""
        assert await send_again(database, SEAL, table="9") == 0
        assert await send_again(database, SEAL, key=ROW.key) == 1
        assert await send_again(database, SEAL, table="6") == 2
        await stage.in_step()
        assert (await read_sync_standing(database)).tables == ()
    assert stage.peer.inbox.held[ROW].body == b"bad"


async def test_changes_that_wait_are_pruned_only_once_they_are_acknowledged(stage: Stage) -> None:
    database = stage.office.database
    await stage.office.put(*ROW, b"{}")

    async def prune() -> int:
        return await prune_changes(database, keep_rows=0, keep_seconds=0, is_syncing=True)

    assert await prune() == 0
    async with stage.role():
        await stage.in_step()
    assert await prune() == 1


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-23T03:29:59+08:00", "2026-11-21T19:30:00+00:00"),
        ("2026-11-23T03:30:00+08:00", "2026-11-22T19:30:00+00:00"),
        ("2026-11-22T23:00:00+00:00", "2026-11-22T19:30:00+00:00"),
    ],
)
def test_quiet_hour_is_half_past_three_in_china(now: str, due: str) -> None:
    at, expected = datetime.fromisoformat(now), datetime.fromisoformat(due)
    assert last_due(at) == expected
    assert is_due(at, expected - timedelta(seconds=1))
    assert not is_due(at, expected)
    assert not is_due(at, None)


async def test_database_that_is_away_stops_nothing(stage: Stage) -> None:
    settings = replace(stage.settings, database_url="postgresql://127.0.0.1:1/none")
    async with stage.role(settings) as role:
        await until(lambda: role.standing().state is State.WAITING)
        assert "Postgres" in role.standing().reason
