"""Every series, route, outcome and response code is documented, and nothing is documented that does not exist."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from time import time
from typing import Any, cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Route

from node.counters import Counters
from node.ledger.logfiles import LogFiles
from node.metrics import exposition
from node.web.audit import AuditApi
from node.web.exports import ExportApi
from node.web.files import FilesApi
from node.web.jobs import JobsApi
from node.web.monthly import ReportsApi, reports_section
from node.web.object_rows import object_section
from node.web.records import RecordsApi
from node.web.registration import RegistrationApi
from node.web.registration_rows import registration_section
from node.web.routes import build_admin_app, build_app
from node.web.sealing import SealApi, sealing_section
from node.web.sources import SourcesApi
from node.web.sync import SyncApi
from node.web.sync_rows import sync_section
from node.web.tokens import TokensApi
from node.web.witness import WitnessApi, build_witness_app
from resolver.answer import Answer, Question, Status, Tier
from resolver.identifier import Identifier, Scheme
from resolver.observe import CELL_COUNT, Event, Protocol, Tally
from resolver.recorder import HttpCount, NoRecorder
from resolver.render import CODES
from resolver.service import Resolver
from resolver.wire import ResponseCode
from tests.support.identities import Gate
from tests.support.web import Web

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
NOTHING = cast("Any", None)


def rows(page: str, heading: str = "") -> list[list[str]]:
    """The rows of all tables of a page, or of those under one heading, without the heads."""
    text = (REFERENCE / page).read_text("utf-8")
    if heading:
        text = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    tables = re.findall(r"\|[-| ]+\|\n((?:\|.*\n)+)", text)
    lines = "".join(tables).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


@pytest.fixture
def counters(tmp_path: Path) -> Iterable[Counters]:
    opened = Counters.open(tmp_path / "0")
    opened.begin(1)
    opened.cells[0] = 1  # one resolution, so that the series has a sample
    yield opened
    opened.close()


def test_every_series_is_documented_with_its_kind_labels_and_sentence(counters: Counters) -> None:
    served = {}
    for family in text_string_to_metric_families(exposition([counters]).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        served[name] = (family.type, labels, family.documentation)
    documented = {
        name.strip("`"): (kind, words(labels), sentence)
        for name, kind, labels, sentence in (row for row in rows("metrics.md") if len(row) == 4)
    }
    assert documented == served


def test_every_protocol_and_event_is_documented() -> None:
    named = {name.strip("`") for name, _ in (row for row in rows("metrics.md") if len(row) == 2)}
    assert named == {*Protocol, *Event}


def test_every_scheme_and_tier_is_documented() -> None:
    assert words((REFERENCE / "metrics.md").read_text("utf-8")) >= {*Scheme, *Tier}


def test_rules_for_prometheus_name_only_series_that_are_served(counters: Counters) -> None:
    served = exposition([counters]).decode()
    for file in (ROOT / "deploy").rglob("*.yml"):
        text = re.sub(r"#.*", "", file.read_text("utf-8"))
        for name in set(re.findall(r"\bidnode_[a-z_]+", text)):
            assert re.search(rf"^{name}[{{ ]", served, re.MULTILINE), f"{name} in {file.name}"


def served_routes(app: Starlette) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for route in app.routes:
        assert isinstance(route, Route)
        path = route.path.replace(":path}", "}")
        found["/{identifier}" if path == "/{handle}" else path] |= set(route.methods or ())
    return found


def documented_routes(heading: str, page: str = "http.md") -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path, methods, answer in (row for row in rows(page, heading) if len(row) == 3):
        for each in {path.strip("`")} | {w for w in words(answer) if w == path.strip("`") + "/"}:
            found[each] |= set(methods.split())
    return found


def test_every_route_of_the_public_listener_is_documented() -> None:
    assert documented_routes("Public listener") == served_routes(Web().app)


def test_every_route_of_the_admin_listener_is_documented() -> None:
    records = RecordsApi(NOTHING, NOTHING, NOTHING)
    tokens = TokensApi(NOTHING, NOTHING)
    jobs = JobsApi(NOTHING, NOTHING, NOTHING)
    exports = ExportApi(NOTHING, NOTHING, NOTHING, case_sensitive=False)
    audit = AuditApi(LogFiles(Path("no-such-log")), "log.example", NOTHING, needs_nonce=False)
    app = build_admin_app(
        bytes,
        list,
        records=records,
        tokens=tokens,
        jobs=jobs,
        exports=exports,
        audit=audit,
        sources=SourcesApi(NOTHING, NOTHING),
        sections=[
            object_section(NOTHING, NOTHING),
            sync_section(SyncApi(NOTHING, NOTHING, NOTHING, NOTHING)),
            reports_section(ReportsApi(NOTHING, NOTHING, NOTHING)),
            sealing_section(SealApi(Path("no-such-log"), NOTHING)),
            registration_section(
                RegistrationApi(NOTHING, NOTHING, NOTHING), FilesApi(NOTHING, NOTHING, NOTHING)
            ),
        ],
    )
    assert documented_routes("Admin listener") == served_routes(app)


def test_every_route_of_a_witness_is_documented() -> None:
    app = build_witness_app(WitnessApi(NOTHING, time))
    assert documented_routes("What it answers", "witness.md") == served_routes(app)


def test_every_response_code_is_documented_by_number_and_name() -> None:
    documented = {(int(code), name.strip("`")) for code, name in rows("codes.md", "Response codes")}
    assert documented == {(code.value, code.name) for code in ResponseCode if code}


class Deciding:
    """A resolver that always decides the same."""

    def __init__(self, status: Status) -> None:
        self.answer = Answer(status)

    def identify(self, text: bytes) -> Identifier:
        return Identifier(Scheme.HANDLE, text.decode(), text, (b"88.1",))

    def detect(self, text: str, _scheme: Scheme | None = None) -> Identifier:
        return self.identify(text.encode())

    async def resolve(self, _question: Question) -> Answer:
        return self.answer


@pytest.mark.parametrize("status", Status)
async def test_outcome_has_the_codes_that_the_table_says(status: Status) -> None:
    row = next(row for row in rows("codes.md", "Outcomes") if row[0] == f"`{status.value}`")
    service = cast("Resolver", Deciding(status))
    app = build_app(
        service,
        NOTHING,
        HttpCount(Tally([0] * CELL_COUNT), NoRecorder()),
        list,
        registrar=NOTHING,
        login=Gate().login,
        reverse=NOTHING,
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://idnode"
    ) as client:
        given = [
            (await client.get(path, headers={"Accept": "application/json"})).status_code
            for path in ("/api/handles/88.1/x", "/v1/resolve/88.1/x", "/88.1/x")
        ]
    assert int(row[2]) == CODES[status]
    assert [str(code) for code in given[:2]] == row[3:5]
    assert str(given[2]) in row[5]
