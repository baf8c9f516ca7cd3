"""The registration channel over a real database, against the simulator's registrar: what is told and brought home."""

import asyncio
import time
from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from node.model.enterprise import Enterprise, EnterpriseAction, Verification
from node.model.entity import Entity
from node.model.form import read
from node.model.prefix import Prefix
from node.model.role import Role
from node.model.stage import PrefixAction, Stage
from node.registry.objects import Actor, Held, ObjectKind, Objects
from node.store.database import Database
from node.store.files import File, Files
from node.store.registration import Registrations, StoredNotice
from node.store.synced import SyncedRows
from node.toplevel.database import Database as TopLevelFile
from node.toplevel.registrar import Policy, Registrar
from node.toplevel.registry import SCHEMA, Registry
from node.upstream.notices import action_of
from node.upstream.registration import Registration
from node.web.examples import example
from sync.channels import epp
from sync.message import PeerUnavailable
from tests.support.objects import credit_code
from tests.support.registry import SEAL
from tests.support.waiting import until

pytestmark = pytest.mark.db

PREFIX = "88.118.9"
EVERYBODY = Actor(frozenset({Role.OPERATOR, Role.REVIEWER}), "operator", "token", "test")
PHOTO = File("image/png", b"\x89PNG\r\n\x1a\n a paper")


class Line:
    """The way to the top-level node; it may lose answers, or be cut."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        self.commands: list[str] = []
        self.is_cut = False
        self.loses = ""
        self.drops = ""  # the command that does not arrive
        self.refuses = ""  # why no enterprise is taken
        self.garbles = ""  # the command that is answered with garbage

    async def epp(self, command: bytes) -> bytes:
        if self.is_cut:
            raise PeerUnavailable("cut")
        said = type(epp.decode_command(command).command).__name__
        self.commands.append(said)
        if said == self.drops:
            raise PeerUnavailable("the command is lost")
        if said == self.garbles:
            return b"<html>"
        if self.refuses and said == "CreateEnterprise":
            client_id = epp.decode_command(command).client_id
            code = epp.ResultCode.PARAMETER_VALUE_POLICY_ERROR
            return epp.encode_answer(epp.Answer(code, "no", client_id, "TLN-1", self.refuses))
        answer = await self._registrar.answer(command)
        if said == self.loses:
            self.loses = ""
            raise PeerUnavailable("the answer is lost")
        return answer

    def told(self) -> list[str]:
        """What was said since this was asked last, but for polls."""
        said, self.commands = self.commands, []
        return [each for each in said if not each.startswith("Poll")]


class Office:
    """A node's side, and the top-level node's."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self.registry = registry
        self.registrar = Registrar(registry, "88.118", time.time)
        self.line = Line(self.registrar)
        self.files = Files(database, SEAL)
        self.store = Registrations(database, SEAL)

        async def tell(_: object) -> None:
            """Nobody else is here."""

        self.objects = Objects(
            database,
            SEAL,
            SyncedRows(SEAL),
            secondary="88.118",
            here=(),
            clock=time.time,
            unique=uuid4,
            on_written=tell,
        )
        self.registration = Registration(
            "88.118",
            self.objects,
            self.files,
            self.store,
            key=b"k" * 32,
            unique=lambda: uuid4().hex,
        )

    async def round(self) -> None:
        await self.registration.round(self.line)

    async def admit(self, form: dict[str, Any]) -> str:
        """Have an enterprise reviewed and approved, and return its number."""
        held = await self.objects.apply_enterprise(read(Entity, form), EVERYBODY)
        await self.approve(held.id)
        return held.id

    async def approve(self, number: str) -> None:
        passed = read(Verification, example("verification"))
        await self.objects.verify_enterprise(number, passed, EVERYBODY)
        for action in (EnterpriseAction.BEGIN_REVIEW, EnterpriseAction.APPROVE):
            await self.objects.step_enterprise(number, action, EVERYBODY)

    async def correct(self, number: str, form: dict[str, Any]) -> None:
        await self.objects.step_enterprise(
            number, EnterpriseAction.CORRECT, EVERYBODY, form=read(Entity, form)
        )
        await self.approve(number)

    async def apply(self, number: str, prefix: str = PREFIX) -> None:
        """Have a prefix applied for, and approved here."""
        await self.objects.apply_prefix(prefix, number, EVERYBODY)
        await self._take(prefix, PrefixAction.BEGIN_REVIEW, PrefixAction.APPROVE)

    async def apply_again(self) -> None:
        """Have a refused prefix corrected, and approved here once more."""
        await self._take(
            PREFIX, PrefixAction.CORRECT, PrefixAction.BEGIN_REVIEW, PrefixAction.APPROVE
        )

    async def _take(self, prefix: str, *actions: PrefixAction) -> None:
        for action in actions:
            await self.objects.step_prefix(prefix, action, EVERYBODY)

    async def enterprise(self, number: str) -> Enterprise:
        return _value(await self.objects.read(ObjectKind.ENTERPRISE, number), Enterprise)

    async def prefix(self, prefix: str = PREFIX) -> Prefix:
        return _value(await self.objects.read(ObjectKind.PREFIX, prefix), Prefix)

    async def decide(self, *, passed: bool, message: str = "", prefix: str = PREFIX) -> None:
        await self.registry.decide(prefix, passed=passed, message=message)


Kind = TypeVar("Kind", Enterprise, Prefix)


def _value(held: Held | None, kind: type[Kind]) -> Kind:
    assert held is not None
    assert isinstance(held.value, kind)
    return held.value


@pytest.fixture
async def office(database: Database, tmp_path: Path) -> AsyncIterator[Office]:
    file = TopLevelFile.open(tmp_path / "registry.db", SCHEMA)
    try:
        yield Office(database, await Registry.open(file, time.time))
    finally:
        file.close()


@pytest.fixture
async def form(office: Office) -> dict[str, Any]:
    """A form with the photos that the channel asks for."""
    await office.files.put("licence", PHOTO)
    await office.files.put("card", PHOTO)
    form: dict[str, Any] = deepcopy(example("enterprise"))
    form["organisation"]["certificate_photo"] = "licence"
    form["organisation"]["legal_person"]["photo_front"] = "card"
    return form


def other_than(form: dict[str, Any], **of: str) -> dict[str, Any]:
    """The form of another enterprise."""
    other = deepcopy(form)
    other["organisation"] |= {"certificate_number": credit_code(7), **of}
    return other


async def test_an_enterprise_is_told_once_and_its_prefix_decided_by_poll(
    office: Office, form: dict[str, Any]
) -> None:
    number = await office.admit(form)
    await office.apply(number)
    await office.round()
    assert office.line.told() == ["CheckEnterprise", "CreateEnterprise", "CreatePrefix"]
    assert (await office.enterprise(number)).upstream_id
    assert (await office.prefix()).stage is Stage.SENT

    await office.round()
    assert office.line.told() == []
    await office.decide(passed=True)
    await office.round()
    assert (await office.prefix()).stage is Stage.GRANTED
    [notice] = await office.store.notices(10)
    assert (notice.prefix, notice.passed, notice.effect) == (PREFIX, True, "prefix.grant")
    assert office.registration.standing().notices == 1


async def test_a_refusal_brings_its_reason_and_the_corrected_application_is_sent_again(
    office: Office, form: dict[str, Any]
) -> None:
    number = await office.admit(form)
    await office.apply(number)
    await office.round()
    await office.decide(passed=False, message="请补充材料")
    await office.round()
    refused = await office.prefix()
    assert (refused.stage, refused.reason) == (Stage.REFUSED, "请补充材料")

    await office.apply_again()
    office.registrar.policy = Policy(decide_seconds=0)
    await office.round()
    assert (await office.prefix()).stage is Stage.GRANTED


async def test_a_refusal_that_comes_again_does_not_refuse_what_was_corrected(
    office: Office, form: dict[str, Any]
) -> None:
    number = await office.admit(form)
    await office.apply(number)
    await office.round()
    await office.decide(passed=False, message="请补充材料")
    office.line.drops = "PollAcknowledge"
    with pytest.raises(PeerUnavailable):
        await office.round()
    office.line.drops = ""
    await office.apply_again()
    await office.round()
    assert (await office.prefix()).stage is Stage.SENT


async def test_the_same_words_under_the_same_number_count_when_they_were_queued_anew(
    office: Office,
) -> None:
    first = StoredNotice("7", PREFIX, True, 3, "", queued_at=datetime(2026, 11, 1, tzinfo=UTC))
    assert await office.store.keep(first) == ""
    await office.store.note_effect("7", "prefix.suspend")
    assert await office.store.keep(first) == "prefix.suspend"
    assert await office.store.keep(first._replace(queued_at=None)) == "prefix.suspend"
    await office.store.keep(first)
    anew = first._replace(queued_at=datetime(2026, 11, 2, tzinfo=UTC))
    assert await office.store.keep(anew) == ""


async def test_another_notice_under_the_same_number_counts(office: Office) -> None:
    refused = StoredNotice("7", PREFIX, passed=False, state=None, message="请补充材料")
    assert await office.store.keep(refused) == ""
    await office.store.note_effect("7", "prefix.refuse")
    assert await office.store.keep(refused) == "prefix.refuse"
    assert await office.store.keep(refused._replace(passed=True, message="")) == ""
    [notice] = await office.store.notices(10)
    assert notice.passed


async def test_a_prefix_that_has_to_wait_holds_up_no_other(
    office: Office, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.upstream.registration.AT_ONCE", 2)
    waits = await office.admit(other_than(form, certificate_photo="never-uploaded"))
    for name in ("88.118.11", "88.118.12"):
        await office.apply(waits, name)
    await office.apply(await office.admit(form), "88.118.13")
    for _ in range(2):
        await office.round()
    assert (await office.prefix("88.118.13")).stage is Stage.SENT


async def test_an_answer_that_cannot_be_read_holds_up_nothing_else(
    office: Office, form: dict[str, Any]
) -> None:
    number = await office.admit(form)
    office.line.garbles = "PollRequest"
    await office.round()
    assert (await office.enterprise(number)).upstream_id
    assert "the queue: " in office.registration.standing().trouble

    await office.admit(other_than(form))
    await office.apply(number)
    office.line.garbles = "CreateEnterprise"
    await office.round()
    assert (await office.prefix()).stage is Stage.SENT
    [refused] = await office.store.refused()
    assert refused.code == epp.ResultCode.COMMAND_FAILED


async def test_what_the_top_level_node_says_in_words_is_shown_and_not_logged(
    office: Office, form: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    number = await office.admit(form)
    office.line.refuses = "张三的身份证不清楚"
    with caplog.at_level("INFO"):
        task = asyncio.create_task(office.registration.keep(office.line))
        await until(lambda: "张三" in office.registration.standing().trouble)
        task.cancel()
    logged = str([vars(each) for each in caplog.records])
    assert number in logged
    assert "张三" not in logged


async def test_what_papers_lack_is_told_and_the_corrected_form_is_sent(
    office: Office, form: dict[str, Any]
) -> None:
    lacking = deepcopy(form)
    del lacking["organisation"]["certificate_photo"]
    number = await office.admit(lacking)
    await office.apply(number)
    await office.round()
    [refused] = await office.store.refused()
    assert refused.enterprise == number
    assert "organisation.certificate_photo" in refused.reason
    assert office.line.told() == []
    assert (await office.prefix()).stage is Stage.APPROVED

    await office.correct(number, form)
    await office.round()
    assert await office.store.refused() == []
    assert (await office.prefix()).stage is Stage.SENT


async def test_details_change_alone_and_papers_with_the_whole(
    office: Office, form: dict[str, Any]
) -> None:
    number = await office.admit(form)
    await office.round()
    office.line.told()
    moved = deepcopy(form)
    moved["organisation"]["address"] = "健康东街2号"
    await office.correct(number, moved)
    await office.round()
    assert office.line.told() == ["ChangeEnterprise"]

    renamed = deepcopy(moved)
    renamed["organisation"]["name"] = "潍坊新示例轴承有限公司"
    await office.correct(number, renamed)
    await office.round()
    assert office.line.told() == ["ReplaceEnterprise"]


@pytest.mark.parametrize("lost", ["CreateEnterprise", "CreatePrefix", "PollAcknowledge"])
async def test_a_lost_answer_costs_nothing_but_time(
    office: Office, form: dict[str, Any], lost: str
) -> None:
    number = await office.admit(form)
    await office.apply(number)
    office.line.loses = lost
    for _ in range(2):
        try:
            await office.round()
        except PeerUnavailable:
            continue
    found = await office.registry.find_prefix(PREFIX)
    assert found is not None
    await office.decide(passed=True)
    for _ in range(2):
        try:
            await office.round()
        except PeerUnavailable:
            continue
    assert (await office.enterprise(number)).upstream_id == found.ent_id
    assert (await office.prefix()).stage is Stage.GRANTED
    assert len(await office.store.notices(10)) == 1


async def test_an_answer_of_a_prefix_granted_at_once_may_be_lost(
    office: Office, form: dict[str, Any]
) -> None:
    office.registrar.policy = Policy(decide_seconds=0)
    await office.apply(await office.admit(form))
    office.line.loses = "CreatePrefix"
    with pytest.raises(PeerUnavailable):
        await office.round()
    await office.round()
    assert (await office.prefix()).stage is Stage.GRANTED


async def test_a_top_level_node_that_is_away_leaves_all_as_it_is(
    office: Office, form: dict[str, Any]
) -> None:
    number = await office.admit(form)
    office.line.is_cut = True
    with pytest.raises(PeerUnavailable):
        await office.round()
    office.line.is_cut = False
    await office.round()
    assert (await office.enterprise(number)).upstream_id


@pytest.mark.parametrize(
    ("stage", "passed", "state", "action"),
    [
        (Stage.SENT, True, 1, PrefixAction.GRANT),
        (Stage.APPROVED, True, None, PrefixAction.GRANT),
        (Stage.SENT, False, None, PrefixAction.REFUSE),
        (Stage.GRANTED, True, 1, None),
        (Stage.ACTIVE, True, 0, PrefixAction.SUSPEND),
        (Stage.ACTIVE, False, None, None),
        (Stage.SUSPENDED, True, 1, PrefixAction.LIFT),
        (Stage.SUSPENDED, True, 0, None),
        (Stage.REFUSED, False, None, None),
        (Stage.REMOVED, True, 1, None),
    ],
)
def test_a_notice_means_what_the_stage_lets_it_mean(
    stage: Stage, passed: bool, state: int | None, action: PrefixAction | None
) -> None:
    notice = epp.Notice("abc", "def", "E1", PREFIX, state, 1 if passed else 2, None)
    assert action_of(notice, stage) is action
