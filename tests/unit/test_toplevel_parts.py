"""The parts of the top-level node that need no files: faults, masks, routes, the bootstrap file."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from node.toplevel.bootstrap import bootstrap
from node.toplevel.faults import PAST_SECONDS, Clock, FaultError, Faults, Refusal
from node.toplevel.judging import Judge, Objection
from node.toplevel.labels import labels_of
from node.toplevel.masking import masked
from node.toplevel.native import Answers
from node.toplevel.resolution import Route, Routes, Site, is_prefix
from resolver.wire import (
    DigestAlgorithm,
    Envelope,
    ErrorAnswer,
    Flag,
    Header,
    Message,
    Opcode,
    ReferralAnswer,
    ResolutionAnswer,
    ResolutionRequest,
    ResponseCode,
    WireError,
    decode_answer,
    decode_site,
)
from sync.change import Place
from sync.channels.tables import TABLES
from tests.support.tablerows import table_rows

NODE = Route("88.118", (Site("192.0.2.1", 2641, 2641, 8000), Site("2001:db8::1", tcp_port=2641)))
ENTERPRISE = Route("88.118.8", (Site("198.51.100.7", tcp_port=2641),), "e1")
ROUTES = Routes([NODE, ENTERPRISE])


def test_faults_are_set_one_by_one_and_all_are_off_at_first() -> None:
    faults = Faults()
    assert faults.names == []
    faults = faults.with_given({"slow": 200, "wrong": True, "losing": 30})
    assert (faults.slow_ms, faults.wrong, faults.losing) == (200, 100, 30)
    faults = faults.with_given({"wrong": False, "down": True})
    assert faults.names == ["slow_ms", "down", "losing"]


@pytest.mark.parametrize(
    "given",
    [
        {"sleepy": True},
        {"down": 1},
        {"wrong": 101},
        {"slow": -1},
        {"slow": "1"},
        {"reject": "6"},
        {"reject": [{"table": 6}]},
        {"reject": [{"table": "", "key": "*"}]},
        {"reject": [{"row": "*"}]},
    ],
)
def test_fault_that_there_is_not_is_refused_in_words(given: dict[str, object]) -> None:
    with pytest.raises(FaultError, match=r"\w+ .*\w"):
        Faults().with_given(given)


def test_rows_are_rejected_by_patterns_of_table_and_key() -> None:
    refusal = Refusal("[67]", "e?*")
    assert refusal.fits(Place("6", "e1"))
    assert not refusal.fits(Place("9", "e1"))
    assert not refusal.fits(Place("6", "a"))


def test_clock_from_the_past_is_an_hour_behind() -> None:
    clock = Clock(lambda: 10_000.0)
    clock.heed(Faults(from_the_past=True))
    assert clock() == 10_000.0 - PAST_SECONDS
    clock.heed(Faults())
    assert clock() == 10_000.0


class Register:
    def is_granted(self, prefix: str) -> bool:
        return prefix == "88.118.8"

    def knows(self, ent_id: str) -> bool:
        return ent_id == "ENT-7"


def judged(number: str, **changes: Any) -> Objection | None:
    table = TABLES[number]
    row = table_rows()[number] | changes
    judge = Judge(Register(), tuple, checks_across=True)
    return judge(Place(number, table.key_of(row)), table.encode(row))


@pytest.mark.parametrize("number", TABLES)
def test_honest_row_of_each_table_is_taken(number: str) -> None:
    assert judged(number) is None


def test_rules_across_rows() -> None:
    route, enterprise = judged("7", prefix="88.118.9"), judged("6", upstream_id="ENT-8")
    assert route is not None
    assert route.code == "not_granted"
    assert enterprise is not None
    assert enterprise.code == "unknown_enterprise"
    assert judged("6", upstream_id=None) is None
    assert judged("7", prefix="6901234", identifier_type="gs1") is None  # not EPP's to grant


def test_unknown_table_and_wrong_key_are_rejected_and_deletions_are_not() -> None:
    judge = Judge(Register(), tuple, checks_across=True)
    found = judge(Place("12", "k"), b"{}")
    assert found is not None
    assert found.code == "unknown_table"
    table = TABLES["9"]
    wrong = judge(Place("9", "another"), table.encode(table_rows()["9"]))
    assert wrong is not None
    assert wrong.code == "wrong_key"
    assert judge(Place("7", "vaa|88.118.9"), None) is None


@pytest.mark.parametrize("number", ["1", "6"])
def test_people_are_not_shown(number: str) -> None:
    row = table_rows()[number]
    entity = row["entity"]["organisation"]
    shown = str(masked(row))
    for person in (entity["legal_person"], entity["contact"]):
        for name in ("name", "phone", "email", "certificate_number"):
            if name in person:
                assert str(person[name]) not in shown
    assert entity["name"] in shown  # the unit is no person


def test_addresses_are_shown_as_networks_and_long_lists_are_cut() -> None:
    row = table_rows()["3"]
    row["sources"] = [{"ip": f"192.0.2.{n}", "resolutions": 1} for n in range(1, 9)]
    shown = masked(row)
    assert isinstance(shown, dict)
    assert shown["sources"][0] == {"ip": "192.0.2.0/24", "resolutions": 1}
    assert shown["sources"][-1] == "… +3"


@pytest.mark.parametrize("number", TABLES)
def test_every_field_of_a_row_has_its_name_in_the_standard(number: str) -> None:
    paths = {re.sub(r"\.[0-9]+", "", path) for path in flat(table_rows()[number], "")}
    assert paths <= set(labels_of(number))


def flat(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from flat(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for place, member in enumerate(value):
            yield from flat(member, f"{path}.{place}")
    else:
        yield path


def test_longest_prefix_leads_the_way() -> None:
    assert ROUTES.find("88.118.8/JX1") == ENTERPRISE
    assert ROUTES.find("0.NA/88.118.8") == ENTERPRISE
    assert ROUTES.find("88.118.8.1/x") == ENTERPRISE
    assert ROUTES.find("88.118.9/x") == NODE
    assert ROUTES.find("88.1188/x") is None
    assert ROUTES.find("88.119/x") is None
    assert is_prefix("0.na/88.118")
    assert not is_prefix("88.118/x")


def test_bootstrap_file_names_the_services_of_prefixes() -> None:
    found = bootstrap(ROUTES, 0)
    assert found["version"] == "1.0"
    assert found["publication"] == "1970-01-01T00:00:00Z"
    assert found["services"] == [[["88.118"], ["http://192.0.2.1:8000/"]]]


def ask(handle: bytes, opcode: int = Opcode.RESOLUTION, **options: Any) -> tuple[int, Any, bytes]:
    """The response code, the answer, and its request digest."""
    body = ResolutionRequest(handle, **options).encode()
    envelope = Envelope(2, 11, 2, 11, request_id=7)
    header = Header(opcode, flags=int(Flag.REQUEST_DIGEST))
    request = Message(envelope, header, body)
    answers = Answers(lambda: ROUTES, lambda: 1_000.0)
    message = Message.decode(answers.answer(request.encode()))
    digest, answer = decode_answer(message)
    assert message.envelope.request_id == 7
    assert digest is not None
    assert digest.algorithm == DigestAlgorithm.SHA256
    return message.header.response_code, answer, digest.digest


def test_prefix_is_answered_with_its_sites_and_an_identifier_with_a_referral() -> None:
    code, answer, _ = ask(b"0.NA/88.118")
    assert code == ResponseCode.SUCCESS
    assert isinstance(answer, ResolutionAnswer)
    assert [value.type for value in answer.values] == [b"HS_SITE", b"HS_SITE.6"]
    server = decode_site(answer.values[0].data).servers[0]
    assert server.address == bytes(12) + bytes([192, 0, 2, 1])
    assert sorted(each.port for each in server.interfaces) == [2641, 2641, 8000]
    code, referral, _ = ask(b"88.118.8/JX1")
    assert code == ResponseCode.PREFIX_REFERRAL
    assert isinstance(referral, ReferralAnswer)
    assert referral.handle == b""
    assert referral.values is not None
    assert len(referral.values) == 1


def test_sites_are_chosen_by_type_and_index() -> None:
    assert len(ask(b"88.118", types=(b"HS_SITE",))[1].values) == 2
    assert len(ask(b"88.118", indexes=(501,))[1].values) == 1
    assert ask(b"88.118", types=(b"URL",))[0] == ResponseCode.VALUES_NOT_FOUND


def test_other_names_and_other_opcodes_are_refused() -> None:
    code, answer, _ = ask(b"88.119/x")
    assert code == ResponseCode.HANDLE_NOT_FOUND
    assert isinstance(answer, ErrorAnswer)
    assert ask(b"88.118", Opcode.DELETE_HANDLE)[0] == ResponseCode.OPERATION_NOT_SUPPORTED
    with pytest.raises(WireError):
        Answers(lambda: ROUTES, lambda: 0.0).answer(b"GET / HTTP/1.1\r\n")
