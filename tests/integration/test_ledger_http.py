"""`/v1/log/…`: what is served of the log, what never is, and that what is served proves what it says."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from node.ledger.follower import Moment, Wish
from node.ledger.leaf import Meters
from node.ledger.log import Log
from node.ledger.note import Note
from node.ledger.quorum import Policy
from node.ledger.receipt import Receipt
from node.ledger.sealer import Around, Sealer
from node.ledger.tlog import EMPTY_ROOT, ProofError
from node.store.database import Database
from node.web.audit import AuditApi
from node.web.routes import build_admin_app
from tests.support.ledgers import ORIGIN, SIGNER, START_US, LaneFile, opened_log, record

pytestmark = pytest.mark.db

POLICY = Policy.parse(f"log {SIGNER.key}\nquorum none\n".encode())
RECORDS = 5_000


@pytest.fixture
async def log(database_url: str, tmp_path: Path) -> AsyncIterator[Log]:
    """A log of two blocks with their epoch, and three hundred leaves behind them."""
    lane = LaneFile(tmp_path / "lanes")
    lane.append(RECORDS)
    async with opened_log(database_url, tmp_path) as opened:
        now = Moment(START_US + 10**9, 0)
        sealer = await Sealer.open(opened, now)
        await sealer.round(now, Around((0, EMPTY_ROOT), 1), Wish(hurry=True))
        sealer.close()
        await opened.append([Meters(time=number, workers=()) for number in range(300)])
        await opened.publish()
        yield opened


def app_of(log: Log, database: Database, *, needs_nonce: bool) -> FastAPI:
    audit = AuditApi(log.place.files, ORIGIN, database, needs_nonce=needs_nonce)
    return build_admin_app(lambda: b"", list, audit=audit)


@pytest.fixture
async def public(log: Log, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_of(log, database, needs_nonce=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        yield client


@pytest.fixture
async def private(log: Log, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_of(log, database, needs_nonce=False))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        yield client


def name_of(seq: int, *, nonce: int | None = None) -> str:
    return f"0.1.{seq}.{record(seq).nonce if nonce is None else nonce:08x}"


@pytest.mark.parametrize("seq", [1, 4_096, 4_097, RECORDS])
async def test_receipt_proves_its_record(public: httpx.AsyncClient, seq: int) -> None:
    answer = await public.get(f"/v1/log/receipt/{name_of(seq)}")
    assert answer.status_code == 200
    _, found = Receipt.parse(answer.content).check(POLICY)
    assert found == record(seq)


async def test_receipt_with_another_record_in_it_proves_nothing(public: httpx.AsyncClient) -> None:
    receipt = Receipt.parse((await public.get(f"/v1/log/receipt/{name_of(7)}")).content)
    other = Receipt.parse((await public.get(f"/v1/log/receipt/{name_of(8)}")).content)
    forged = Receipt(receipt.proof, receipt.line, other.record, receipt.path)
    with pytest.raises(ProofError):
        forged.check(POLICY)
    forged = Receipt(receipt.proof, receipt.line.replace(b"4096", b"4095"), receipt.record)
    with pytest.raises(ProofError):
        forged.check(POLICY)


async def test_strangers_cannot_read_records_one_by_one(
    public: httpx.AsyncClient, private: httpx.AsyncClient
) -> None:
    assert (await public.get("/v1/log/receipt/0.1.7")).status_code == 400
    answer = await public.get(f"/v1/log/receipt/{name_of(7, nonce=1)}")
    assert answer.status_code == 404
    missing = await public.get("/v1/log/receipt/0.1.999999.00000001")
    assert answer.content == missing.content
    assert (await private.get("/v1/log/receipt/0.1.7")).status_code == 200
    assert (await private.get(f"/v1/log/receipt/{name_of(7, nonce=1)}")).status_code == 404


async def test_receipt_of_a_body_that_was_deleted_is_gone(
    public: httpx.AsyncClient, log: Log
) -> None:
    for path in (log.place.files.directory / "bodies").rglob("*.rec"):
        path.unlink()
    assert (await public.get(f"/v1/log/receipt/{name_of(7)}")).status_code == 410


@pytest.mark.parametrize(
    "name",
    ["x", "0.1", "0.1.1.1.1", "0.1.-1", "0.1.01.00000000", "0.1.1.zzzzzzzz", "0.1." + "9" * 30],
)
async def test_name_that_is_none_is_told(public: httpx.AsyncClient, name: str) -> None:
    answer = await public.get(f"/v1/log/receipt/{name}")
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_number_that_no_record_has_is_no_fault_of_ours(public: httpx.AsyncClient) -> None:
    name = f"{2**31}.{2**40}.{2**62}.00000000"
    assert (await public.get(f"/v1/log/receipt/{name}")).status_code == 400


async def test_leaf_is_proven(public: httpx.AsyncClient, log: Log) -> None:
    for index in (0, 255, 256, log.head[0] - 1):
        answer = await public.get(f"/v1/log/leaf/{index}")
        receipt = Receipt.parse(answer.content)
        assert receipt.proof.index == index
        assert receipt.check(POLICY)[1] is None
    assert (await public.get(f"/v1/log/leaf/{log.head[0]}")).status_code == 404
    assert (await public.get("/v1/log/leaf/-1")).status_code == 400


async def test_tiles_of_earlier_sizes_are_cut_from_the_newest(
    public: httpx.AsyncClient, log: Log
) -> None:
    files = log.place.files
    whole = (await public.get("/v1/log/tile/0/000")).content
    assert len(whole) == 8_192
    assert (await public.get("/v1/log/tile/0/000.p/9")).content == whole[: 9 * 32]
    assert (await public.get("/v1/log/tile/0/001.p/3")).status_code == 200
    bundle = (await public.get("/v1/log/tile/entries/001.p/3")).content
    assert bundle.endswith(files.line(258, log.head[0]))
    answer = await public.get("/v1/log/tile/1/000.p/1")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    "path",
    [
        "0/001",
        "0/001.p/200",
        "2/000.p/1",
        "entries/002.p/1",
        "0/%2e%2e/%2e%2e/checkpoint",
        "..%2f..%2fkeys/log.key",
        "0/000.p/0",
        "0/000.p/257",
        "00/000",
        "entries/000%00",
        "../bodies/x",
    ],
)
async def test_what_is_no_published_tile_is_not_there(public: httpx.AsyncClient, path: str) -> None:
    assert (await public.get(f"/v1/log/tile/{path}")).status_code == 404


async def test_tile_that_no_checkpoint_has_is_not_served(
    public: httpx.AsyncClient, log: Log
) -> None:
    width = log.head[0] % 256 + 1
    path = log.place.files.directory / "log" / f"tile/0/001.p/{width}"
    path.write_bytes(bytes(32 * width))
    assert (await public.get(f"/v1/log/tile/0/001.p/{width}")).status_code == 404


async def test_checkpoint_and_heads_are_served_and_not_kept(
    public: httpx.AsyncClient, log: Log
) -> None:
    answer = await public.get("/v1/log/checkpoint")
    assert Note.parse(answer.content).text.split("\n")[:2] == [ORIGIN, str(log.head[0])]
    assert answer.headers["Cache-Control"] == "no-cache"
    for name in ("newest.note", f"{log.head[0]}.note"):
        assert (await public.get(f"/v1/log/heads/{name}")).status_code == 404
    path = log.place.files.directory
    (path / "beacon").write_bytes(answer.content)
    (path / "heads" / f"{log.head[0]}.note").write_bytes(answer.content)
    for name in ("newest.note", f"{log.head[0]}.note"):
        assert (await public.get(f"/v1/log/heads/{name}")).content == answer.content
    for name in ("0009.note", "..%2fbeacon", "x.note", ".note", "9"):
        assert (await public.get(f"/v1/log/heads/{name}")).status_code == 404


async def test_damaged_file_is_told_without_its_path(public: httpx.AsyncClient, log: Log) -> None:
    (log.place.files.directory / "log/tile/0/000").unlink()
    answer = await public.get("/v1/log/tile/0/000")
    assert answer.status_code == 503
    assert str(log.place.files.directory) not in answer.text
