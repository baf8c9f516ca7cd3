"""Rows of user agents: what they say, who gets one, and how many there may be."""

from pathlib import Path

import pytest

from node.ledger.agents import (
    AGENTS_A_MINUTE,
    MAX_AGENTS,
    MAX_NOTED,
    AgentNotes,
    AgentRows,
    row_of,
    take_notes,
)
from node.ledger.announced import Announced, AnnouncedNumbers
from node.ledger.classes import MAX_AGENT_BYTES
from node.ledger.leaf import MAX_LEAF_BYTES, Dictionary
from node.ledger.record import OTHER_AGENT

FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"


def rows_of(leaves: list[Dictionary]) -> list[tuple[int, str]]:
    return [row for leaf in leaves for row in leaf.agents]


@pytest.mark.parametrize(
    ("agent", "row"),
    [
        (FIREFOX, FIREFOX),
        (b"Bot/1.0 (+https://example.cn/bot?who=liwei)", b"Bot/1.0 (+https://example.cn/bot*"),
        (b"Scan/2 (liwei@example.cn)", b"Scan/2 *"),
        (b"App/1 IMEI:490154203237518 Tel 13800138000", b"App/1 IMEI:* Tel *"),
        (b"App/1 3f0e9c1a-5b7d-4c2e-9a41-77d0b6c8e2f5", b"App/1 *"),
        (b"Probe\n2 robot", b""),
        (b"\xe6\x89\xab", b""),
        (b"", b""),
        (b" blank", b""),
        (b"x" * 20 + b" y" * 300, (b"x" * 20 + b" y" * 300)[:MAX_AGENT_BYTES]),
    ],
)
def test_row_says_what_is_asked_with_and_nobody(agent: bytes, row: bytes) -> None:
    assert row_of(agent) == row
    assert row_of(row) == row


def test_what_most_callers_have_comes_first_and_no_more_than_a_minute_may_have() -> None:
    rows = AgentRows()
    noted = {f"agent {number}".encode(): number for number in range(AGENTS_A_MINUTE + 9)}
    first = rows.due(noted, minute=7)
    assert rows_of(first)[0] == (1, f"agent {AGENTS_A_MINUTE + 8}")
    assert len(rows_of(first)) == AGENTS_A_MINUTE
    rows.told(rows_of(first))
    assert rows.due(noted, minute=7) == []
    assert len(rows_of(rows.due(noted, minute=8))) == 9


def test_log_has_so_many_rows_and_numbers_go_on() -> None:
    rows = AgentRows()
    rows.told([(MAX_AGENTS - 2, "last")])
    due = rows_of(rows.due({b"a": 1, b"b": 1, b"c": 1, b"last": 9}, minute=0))
    assert due == [(MAX_AGENTS - 1, "a"), (MAX_AGENTS, "b")]


def test_longest_rows_fit_into_leaves() -> None:
    long = {(b'"\\ ' * 200 + b"%d" % number)[-MAX_AGENT_BYTES:]: 1 for number in range(64)}
    leaves = AgentRows().due(long, minute=0)
    assert len(rows_of(leaves)) == 64
    assert all(len(leaf.line()) <= MAX_LEAF_BYTES for leaf in leaves)


def test_notes_of_all_workers_are_taken_once(tmp_path: Path) -> None:
    for slot in range(2):
        notes = AgentNotes(tmp_path, slot)
        notes.met(FIREFOX)
        notes.met(FIREFOX)
        notes.write()
    (tmp_path / "agents" / "9").write_bytes(b"3 who@example.cn\nx y\n5\n1 \x01\n2 good\n")
    assert take_notes(tmp_path) == {FIREFOX: 4, b"good": 2}
    assert take_notes(tmp_path) == {}


def test_worker_notes_a_bounded_number(tmp_path: Path) -> None:
    notes = AgentNotes(tmp_path, 0)
    for number in range(2 * MAX_NOTED):
        notes.met(b"agent %d" % number)
    notes.write()
    assert len(take_notes(tmp_path)) == MAX_NOTED


def test_worker_goes_by_the_number_when_it_is_announced() -> None:
    met: list[bytes] = []
    numbers = AnnouncedNumbers(Announced(), lambda _: False, met.append)
    assert numbers.agent_no(b"App/1 490154203237518") == OTHER_AGENT
    assert numbers.agent_no(b"") == numbers.agent_no(b"\x01") == OTHER_AGENT
    assert met == [b"App/1 *"]
    numbers.announced = Announced(agents={b"App/1 *": 3})
    assert numbers.agent_no(b"App/1 490154203237518") == 3
    assert numbers.agent_no(b"App/1 111111111111111") == 3
    assert met == [b"App/1 *"]


def test_nothing_is_noted_when_the_dictionary_is_full() -> None:
    met: list[bytes] = []
    full = Announced(agents={b"%d" % number: number for number in range(MAX_AGENTS)})
    assert AnnouncedNumbers(full, lambda _: False, met.append).agent_no(b"new") == OTHER_AGENT
    assert met == []
