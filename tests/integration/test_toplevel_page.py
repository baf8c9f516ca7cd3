"""The page listener of the top-level node: what it shows, what it takes, resolution, and the witness."""

import asyncio
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx

from node.ledger.keys import VerifierKey
from node.ledger.note import Note, verify
from node.ledger.submission import ADD_PATH, origin_hash, parse_cosignatures
from node.toplevel.app import Running
from resolver.client import Query, ask_tcp, ask_udp
from resolver.wire import ResponseCode
from sync.channels.epp import CheckPrefix, PollRequest
from tests.support.logs import ORIGIN, WrittenLog, make_leaves
from tests.support.tablerows import table_rows
from tests.support.toplevels import Both, both, lively, page_of, top_level, until
from tests.support.witnesses import submission

STATIC = Path(str(files("node.toplevel") / "static"))
PERSON = table_rows()["6"]["entity"]["organisation"]["contact"]


class Words(HTMLParser):
    """The words that a page names, and where it would fetch from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: set[str] = set()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.words |= {given["data-word"]} if "data-word" in given else set()
        self.ids |= {given["id"]} if "id" in given else set()
        self.links += [given[name] for name in ("src", "href") if name in given]
        assert "style" not in given
        assert not any(name.startswith("on") for name in given)


async def test_page_asks_nobody_else_and_says_each_word_in_both_languages(tmp_path: Path) -> None:
    async with top_level(tmp_path) as found, page_of(found) as page:
        answer = await page.get("/")
        words = Words(answer.text)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        for link in words.links:
            assert link.startswith(("/", "data:,"))
            if link.startswith("/"):
                assert (await page.get(link)).status_code == 200, link
        assert (await page.get("/static/../app.py")).status_code == 404
        assert (await page.get("/static/words.py")).status_code == 404
    said = (STATIC / "words.js").read_text("utf-8")
    known = dict(re.findall(r'(\w+): \["([^"]*)", ?\n?', said))
    used = words.words | set(re.findall(r'word\("(\w+)"\)', scripts()))
    assert used <= set(known)
    assert set(re.findall(r'at\("(\w+)"\)', scripts())) <= words.ids


def scripts() -> str:
    texts = [(STATIC / name).read_text("utf-8") for name in ("page.js", "panels.js")]
    assert "innerHTML" not in "".join(texts)
    assert re.findall(r"https?://[^\s\"']+", "".join(texts)) == ["http://www.w3.org/2000/svg"]
    return "".join(texts)


async def test_state_tells_how_everything_stands_and_no_person(tmp_path: Path) -> None:
    async with both(tmp_path) as talk:
        await lively(talk)
        state, text = await talk.get("/state"), (await talk.page.get("/state")).text
        tables = {table["number"]: table for table in state["tables"]}
        assert (tables["7"]["rows"], tables["7"]["rejected"]) == (1, 1)
        assert state["inbox"]["complete"]
        assert state["inbox"]["serial"] == talk.node.outbox.serial
        assert state["epp"]["prefixes"][0]["state"] == "waiting"
        assert [each["code"] for each in state["rejections"]] == ["not_granted"]
        assert {each["kind"] for each in state["events"]} >= {"hello", "delta", "digests", "epp"}
        assert sum(state["rates"]) >= 3
        text += (await talk.page.get("/tables/6")).text
        for name in ("name", "phone", "email", "certificate_number"):
            assert PERSON[name] not in text
        await until(lambda: digest_is_shown(talk))


async def test_events_do_not_tell_of_each_empty_poll(tmp_path: Path) -> None:
    async with both(tmp_path / "top") as talk:
        for command in (PollRequest(), CheckPrefix("88.118", "88.118.8"), PollRequest()):
            await talk.node.command(command)
        events = (await talk.get("/state"))["events"]
    assert [each["text"] for each in events if each["kind"] == "epp"] == ["1000"]


async def digest_is_shown(talk: Both) -> bool:
    shown = {each["number"]: each["digest"] for each in (await talk.get("/state"))["tables"]}
    told = (await talk.get("/digests"))["tables"]
    return all(shown[number] == each["digest"] for number, each in told.items())


async def test_rows_are_listed_by_key_and_by_age(tmp_path: Path) -> None:
    async with both(tmp_path) as talk:
        for number in range(25):
            talk.node.write("9", identifier=f"88.118.8/{number:03}")
        await talk.meet()
        first = (await talk.get("/tables/9?after=&limit=20"))["rows"]
        rest = (await talk.get(f"/tables/9?after={first[-1]['key']}&limit=20"))["rows"]
        assert [row["key"] for row in first + rest] == [f"88.118.8/{n:03}" for n in range(25)]
        newest = (await talk.get("/tables/9?limit=2"))["rows"]
        assert [row["key"] for row in newest] == ["88.118.8/024", "88.118.8/023"]
        assert (await talk.get(f"/tables/9?newest={newest[0]['arrival']}"))["rows"] == []
        assert (await talk.get("/tables/unknown"))["rows"] == []
        for wrong in ("limit=x", "limit=501", "newest=-1"):
            assert (await talk.page.get(f"/tables/9?{wrong}")).status_code == 400


async def test_what_a_foreign_page_could_send_is_refused(tmp_path: Path) -> None:
    async with top_level(tmp_path) as found, page_of(found) as page:
        body = b'{"down":true}'
        form = await page.post("/faults", content=body, headers={"Content-Type": "text/plain"})
        assert form.status_code == 422
        rebound = {"Content-Type": "application/json", "Host": f"evil.example:{found.page.port}"}
        assert (await page.post("/faults", content=body, headers=rebound)).status_code == 403
        for wrong in (b"[]", b"{", b'{"sleepy":1}', b'{"forgetful":"../x"}', b"x" * 70_000):
            answer = await page.post(
                "/faults", content=wrong, headers=rebound | {"Host": "localhost"}
            )
            assert answer.status_code == 422
            assert answer.json()["detail"]
        for path in ("/", "/state", "/tables/9", "/faults"):
            assert (await page.get(path, headers=rebound)).status_code == 403
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:9660", "192.0.2.7:9660"):
            assert (await page.get("/healthz", headers={"Host": host})).status_code == 200
            assert (await page.get("/state", headers={"Host": host})).status_code == 200
        assert (await page.get("/healthz", headers=rebound)).status_code == 200  # as probes ask
        assert (await page.get("/faults")).json()["down"] is False


async def test_copies_have_names_and_are_few(tmp_path: Path) -> None:
    async with top_level(tmp_path) as found, page_of(found) as page:
        assert (await page.get("/snapshots")).json() == {"snapshots": ["start"]}
        assert (await page.post("/snapshots", json={"name": "before"})).json() == {
            "snapshots": ["before", "start"]
        }
        for name in ("", "../x", "X", "a" * 33):
            assert (await page.post("/snapshots", json={"name": name})).status_code == 422
        assert (await page.post("/restore", json={"name": "none"})).status_code == 422


async def test_identifiers_are_resolved_by_referral_over_udp_tcp_and_http(tmp_path: Path) -> None:
    async with both(tmp_path, checks_across=False, probe_seconds=0.05) as talk:
        native = talk.found.native
        site = {"ip_type": "4", "ip": "127.0.0.1", "udp_port": native.port, "tcp_port": native.port}
        talk.node.write("2", sites=[site])
        talk.node.write("7", prefix="88.118.8")
        await talk.meet()
        await until(lambda: is_resolved(talk, "88.118.8/x"))
        for ask in (ask_udp, ask_tcp):
            reply = await ask(native.host, native.port, Query(b"88.118.8/x"), 1)
            assert reply.code == ResponseCode.PREFIX_REFERRAL
            assert [value.type for value in reply.values] == [b"HS_SITE"]
            reply = await ask(native.host, native.port, Query(b"0.NA/88.118"), 2)
            assert reply.code == ResponseCode.SUCCESS
        found = (await talk.get("/resolve/88.118.8/x"))["referral"]
        assert (found["prefix"], found["table"], found["enterprise"]) == ("88.118.8", "7", "e1")
        assert (await talk.page.get("/resolve/88.119/x")).status_code == 404
        assert (await talk.get("/bootstrap.json"))["services"] == []  # nobody has an HTTP port
        await until(lambda: has_probed(talk))


async def is_resolved(talk: Both, name: str) -> bool:
    return (await talk.page.get(f"/resolve/{name}")).status_code == 200


async def has_probed(talk: Both) -> bool:
    """The node is the top-level node itself here, which knows its prefix."""
    probes: list[dict[str, Any]] = (await talk.get("/state"))["probes"]
    return any(each["is_ok"] and each["target"].startswith("udp://") for each in probes)


async def test_broken_bytes_do_no_harm_to_the_native_listener(tmp_path: Path) -> None:
    async with top_level(tmp_path) as found:
        reader, writer = await asyncio.open_connection(found.native.host, found.native.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 10)
        assert await reader.read() == b""
        writer.close()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(found.native.host, found.native.port)
        )
        for junk in (b"", b"x", bytes(20), b"\xff" * 600):
            transport.sendto(junk)
        transport.close()
        reply = await ask_udp(found.native.host, found.native.port, Query(b"88.118/x"), 3)
        assert reply.code == ResponseCode.HANDLE_NOT_FOUND


async def test_it_is_a_witness_of_the_logs_that_it_is_told(tmp_path: Path) -> None:
    log = WrittenLog()
    async with top_level(tmp_path) as found, page_of(found) as page:
        log.append(make_leaves(7))
        refused = await page.post(ADD_PATH, content=submission(log, 0))
        assert refused.status_code == 404
        assert (await page.post("/logs", json={"key": "no key"})).status_code == 422
        assert (await page.post("/logs", json={"key": str(log.signer.key)})).status_code == 200
        assert await cosigned(page, log, 0, found)
        log.append(make_leaves(20))
        assert await cosigned(page, log, 7, found)
    async with top_level(tmp_path) as found, page_of(found) as page:
        stale = await page.post(ADD_PATH, content=submission(log, 7))
        assert (stale.status_code, stale.text) == (409, "27\n")
        witness = (await page.get("/state")).json()["witness"]
        assert [(each["origin"], each["size"]) for each in witness["logs"]] == [(ORIGIN, 27)]
        assert (await page.get(f"/{origin_hash(ORIGIN)}/checkpoint")).status_code == 200


async def cosigned(page: httpx.AsyncClient, log: WrittenLog, old: int, found: Running) -> bool:
    answer = await page.post(ADD_PATH, content=submission(log, old))
    (line,) = parse_cosignatures(answer.content)
    key = VerifierKey.parse(found.witness_key)
    return bool(verify(Note(log.checkpoint().text, (line,)), [key]))
