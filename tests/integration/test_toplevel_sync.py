"""A sender over HTTPS, with papers and signatures: whatever the top-level node does wrong, both end equal."""

import asyncio
from pathlib import Path

import pytest

from resolver.keys.signing import SigningKey, SigningKind
from sync.change import Place
from sync.message import Hello, PeerUnavailable
from tests.support.tablerows import table_rows
from tests.support.toplevels import (
    QUICK,
    Both,
    Node,
    both,
    node_of,
    page_of,
    top_level,
    until,
    write_rows,
)


async def test_rows_of_all_tables_arrive_and_both_sides_are_equal(tmp_path: Path) -> None:
    async with both(tmp_path, checks_across=False) as talk:
        for number in ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "M1", "M2", "E"):
            talk.node.write(number)
        await talk.meet()
        state = await talk.get("/state")
        assert {table["number"]: table["rows"] for table in state["tables"]} == dict.fromkeys(
            (table["number"] for table in state["tables"]), 1
        )
        assert state["rejections"] == []
        place = next(iter(talk.node.outbox.rows))
        talk.node.outbox.write(place, None)
        await talk.meet()


@pytest.mark.parametrize(
    "fault",
    [
        {"down": True},
        {"slow": 150},
        {"wrong": True},
        {"wrong": 50},
        {"replaying": 60},
        {"losing": 60},
        {"from_the_past": True},
        {"expired": True},
        {"disk_full": True},
    ],
    ids=lambda fault: next(iter(fault)),
)
async def test_both_are_equal_after_a_fault(tmp_path: Path, fault: dict[str, object]) -> None:
    async with both(tmp_path) as talk:
        write_rows(talk.node, 0)
        await talk.meet()
        await talk.post("/faults", **fault)
        for number in range(1, 6):
            write_rows(talk.node, number * 100)
            talk.sender.hint()
            await asyncio.sleep(QUICK * 3)
        if "slow" not in fault:
            await until(lambda: talk.sender.failures > 0)
        assert (await talk.get("/state"))["faults_on"]
        name, value = next(iter(fault.items()))
        await talk.post("/faults", **{name: False if value is True else 0})
        await talk.meet()
        assert (await talk.get("/digests"))["tables"]["9"]["rows"] == 240


async def test_both_are_equal_after_it_forgot_and_nothing_acknowledged_is_lost(
    tmp_path: Path,
) -> None:
    async with both(tmp_path) as talk:
        write_rows(talk.node, 0)
        await talk.meet()
        await talk.post("/snapshots", name="old")
        write_rows(talk.node, 100)
        await talk.meet()
        assert await talk.post("/restore", name="old") == {"restored": "old"}
        await talk.meet()
        talk.node.outbox.prune(talk.node.outbox.serial)
        await talk.post("/faults", forgetful=True)  # the newest copy
        await talk.meet()
        assert talk.node.outbox.session != "session-0"  # the changes since were gone
        await talk.post("/faults", forgetful="start")
        await talk.meet()


async def test_node_restored_from_an_old_backup_brings_its_own_state(tmp_path: Path) -> None:
    async with top_level(tmp_path) as found, page_of(found) as page:
        node = node_of(found)
        write_rows(node, 0)
        backup = node.outbox
        node.outbox = backup.restored("session-0")
        for outbox in (node.outbox, backup.restored("session-restored")):
            node.outbox = outbox
            write_rows(node, 500 if outbox.session == "session-0" else 900, 10)
            sender = node.sender()
            running = asyncio.create_task(sender.run())
            await until(Both(found, node, page, sender).are_equal)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        rows = (await page.get("/tables/9", params={"after": "", "limit": 500})).json()["rows"]
        assert [row["key"] for row in rows] == sorted(place.key for place in node.outbox.rows)
        assert "88.118.8/00505" not in {row["key"] for row in rows}
        await node.transport.close()


async def test_rows_are_rejected_with_code_and_reason_and_delay_no_other(tmp_path: Path) -> None:
    async with both(tmp_path) as talk:
        route = talk.node.write("7", prefix="88.118.77")
        unknown = talk.node.write("6", enterprise="e9", upstream_id="ENT-99")
        waiting = talk.node.write("6", enterprise="e1", upstream_id=None)
        wrong = Place("9", "88.118.8/x")
        talk.node.outbox.write(wrong, b'{"identifier":"88.118.8/x"}')
        await talk.meet()
        aside = {place: each.code for place, each in talk.node.outbox.aside.items()}
        assert aside == {route: "not_granted", unknown: "unknown_enterprise", wrong: "missing"}
        assert waiting not in aside
        talk.node.write("9", identifier="88.118.8/x")
        await until(lambda: wrong not in talk.node.outbox.aside)


async def test_rows_rejected_by_hand_are_taken_when_they_are_sent_again(tmp_path: Path) -> None:
    async with both(tmp_path) as talk:
        rule = {"table": "9", "key": "88.118.8/0000?", "reason": "抽查"}
        await talk.post("/faults", reject=[rule])
        write_rows(talk.node, 5, 10)
        await talk.meet()
        said = {(each.code, each.reason) for each in talk.node.outbox.aside.values()}
        assert said == {("by_hand", "抽查")}
        assert len(talk.node.outbox.aside) == 5
        await talk.post("/faults", reject=[])
        write_rows(talk.node, 5, 10)
        await until(lambda: not talk.node.outbox.aside)
        await talk.meet()


async def test_correction_that_is_demanded_is_heard_and_lifted_by_the_corrected_row(
    tmp_path: Path,
) -> None:
    async with both(tmp_path) as talk:
        place = talk.node.write("1")
        write_rows(talk.node, 0)
        await talk.meet()
        said = await talk.post("/corrections", table=place.table, key=place.key, reason="地址不全")
        assert said["code"] == "correction"
        await until(lambda: place in talk.node.outbox.aside)
        assert talk.node.outbox.aside[place].reason == "地址不全"
        await talk.meet()  # digests are over what was sent
        talk.node.outbox.write(place, talk.node.outbox.rows[place])  # the same again: no correction
        await asyncio.sleep(QUICK * 5)
        await talk.meet()
        assert place in talk.node.outbox.aside
        talk.node.outbox.write(place, b"{}")
        await until(lambda: talk.node.outbox.aside[place].code == "missing")
        talk.node.write("1", entity=table_rows()["1"]["entity"] | {"naming_standard": "GB/T 2"})
        await until(lambda: place not in talk.node.outbox.aside)
        await talk.meet()
        missing = await talk.page.post(
            "/corrections", json={"table": "1", "key": "none", "reason": "x"}
        )
        assert missing.status_code == 404


async def test_busy_node_hears_of_a_correction_with_its_next_change(tmp_path: Path) -> None:
    async with top_level(tmp_path) as found, page_of(found) as page:
        node = node_of(found)
        sender = node.sender(greeting_seconds=3_600)
        running = asyncio.create_task(sender.run())
        place = node.write("1")
        await until(lambda: node.outbox.complete)
        body = {"table": place.table, "key": place.key, "reason": "地址不全"}
        assert (await page.post("/corrections", json=body)).status_code == 200
        write_rows(node, 0)
        sender.hint()
        await until(lambda: place in node.outbox.aside)
        await until(Both(found, node, page, sender).are_equal)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await node.transport.close()


async def test_who_has_no_certificate_or_no_key_is_not_heard(tmp_path: Path) -> None:
    async with top_level(tmp_path / "one") as found, top_level(tmp_path / "other") as other:
        stranger = Node(f"https://{found.channel}", other.papers.issue)
        with pytest.raises(PeerUnavailable, match="certificate"):
            await stranger.transport.exchange(Hello(1, "s", 0))
        key = tmp_path / "key.pem"
        key.write_bytes(SigningKey.make(SigningKind.SM2).pem)
        unknown = node_of(found, signing=key)
        with pytest.raises(PeerUnavailable, match=r"401.*not known"):
            await unknown.transport.exchange(Hello(2, "s", 0))
        async with page_of(found) as page:
            pem = SigningKey.load(key).public.pem.decode()
            keys = (await page.post("/keys", json={"pem": pem})).json()["keys"]
            assert len(keys) == 2
            await unknown.transport.exchange(Hello(3, "s", 0))
            key_id = SigningKey.load(key).key_id
            assert (await page.post("/keys", json={"remove": key_id})).status_code == 200
        with pytest.raises(PeerUnavailable, match="not known"):
            await unknown.transport.exchange(Hello(4, "s", 0))
        for each in (stranger, unknown):
            await each.transport.close()


async def test_message_that_is_replayed_is_refused_and_the_clocks_are_compared(
    tmp_path: Path,
) -> None:
    async with both(tmp_path) as talk:
        node = talk.node
        node.transport._nonce = lambda: "a-nonce-that-comes-twice"
        talk.sender.verify()
        await until(lambda: "came before" in talk.sender.trouble)
        await talk.post("/faults", from_the_past=True)
        clocks = node.transport.clocks
        assert clocks is not None
        await until(lambda: (node.transport.clocks or clocks).skew_seconds < -3_500)


async def test_heartbeat_is_shown(tmp_path: Path) -> None:
    async with both(tmp_path) as talk:
        await talk.node.transport.heartbeat({"version": "0.1.0", "pending": 3})
        state = await talk.get("/state")
        assert state["heartbeat"]["said"] == {"version": "0.1.0", "pending": 3}
        assert abs(state["skew_seconds"]) < 5
