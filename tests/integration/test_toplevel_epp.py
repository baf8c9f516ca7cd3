"""The registry of the top-level node over EPP: create, wait, decide, poll, acknowledge; and what it refuses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.toplevel.database import Database
from node.toplevel.registrar import Policy, Registrar
from node.toplevel.registry import SCHEMA, Registry
from sync.channels.epp import (
    Answer,
    CertificateType,
    ChangeEnterprise,
    CheckEnterprise,
    CheckPrefix,
    Command,
    Created,
    CreateEnterprise,
    CreatePrefix,
    EnterpriseChange,
    Known,
    Notice,
    PollAcknowledge,
    PollRequest,
    ReplaceEnterprise,
    Request,
    ResultCode,
    Spelling,
    decode_answer,
    encode_command,
)
from tests.support.epp import CONTACT, ENTERPRISE, LEGAL_PERSON
from tests.support.toplevels import Node, node_of, page_of, top_level

NODE = "88.118"
CODE = ENTERPRISE.credit_code


class Desk:
    """A registrar in this process, and its clock."""

    def __init__(self, path: Path) -> None:
        self.path, self.now, self.commands = path, 1_000.0, 0
        self.database = Database.open(path, SCHEMA)
        self.registry: Registry
        self.registrar: Registrar

    async def open(self) -> None:
        self.registry = await Registry.open(self.database, lambda: self.now)
        self.registrar = Registrar(self.registry, NODE, lambda: self.now)

    async def reopen(self) -> None:
        self.database.close()
        self.database = Database.open(self.path, SCHEMA)
        await self.open()

    async def ask(self, command: Command, spelling: Spelling = Spelling.TEXT) -> Answer:
        self.commands += 1
        return await self.ask_as(f"CL-{self.commands}", command, spelling)

    async def ask_as(
        self, client_id: str, command: Command, spelling: Spelling = Spelling.TEXT
    ) -> Answer:
        frame = await self.registrar.answer(encode_command(Request(command, client_id, spelling)))
        return decode_answer(frame, client_id)

    async def code(self, command: Command) -> ResultCode:
        return (await self.ask(command)).code


@asynccontextmanager
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path / "registry.db")
    await made.open()
    try:
        yield made
    finally:
        made.database.close()


async def test_enterprise_is_created_once_and_known_by_its_credit_code(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        check = CheckEnterprise("shr", CertificateType.CREDIT_CODE, CODE)
        assert (await made.ask(check)).data == Known(None)
        created = (await made.ask(CreateEnterprise(NODE, ENTERPRISE))).data
        assert isinstance(created, Created)
        assert await made.code(CreateEnterprise(NODE, ENTERPRISE)) is ResultCode.OBJECT_EXISTS
        await made.reopen()
        assert (await made.ask(check)).data == Known(created.ent_id)
        assert made.registry.knows(created.ent_id)


async def test_enterprise_is_changed_in_part_and_as_a_whole(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        await made.ask(CreateEnterprise(NODE, ENTERPRISE))
        change = EnterpriseChange(address="新地址", website="")
        assert await made.code(ChangeEnterprise("shr", "ENT-1", change)) is ResultCode.COMPLETED
        (found,) = await made.registry.enterprises()
        assert (found.form["address"], found.form["website"], found.version) == ("新地址", "", 2)
        renamed = replace(ENTERPRISE, unit_name="新名称")
        assert await made.code(ReplaceEnterprise(NODE, "ENT-1", renamed)) is ResultCode.COMPLETED
        assert (await made.registry.enterprises())[0].name == "新名称"
        missing = ReplaceEnterprise(NODE, "ENT-9", renamed)
        assert await made.code(missing) is ResultCode.OBJECT_DOES_NOT_EXIST
        await made.ask(
            CreateEnterprise(NODE, replace(ENTERPRISE, credit_code="91370700MA3C0000X2"))
        )
        taken = ReplaceEnterprise(NODE, "ENT-2", ENTERPRISE)
        assert await made.code(taken) is ResultCode.OBJECT_EXISTS


async def test_decision_waits_in_the_queue_until_it_is_acknowledged(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        await made.ask(CreateEnterprise(NODE, ENTERPRISE))
        assert await made.code(PollRequest()) is ResultCode.COMPLETED_NO_MESSAGES
        applied = await made.ask(CreatePrefix(NODE, "ENT-1", "88.118.8"))
        assert applied.code is ResultCode.COMPLETED_ACTION_PENDING
        assert not made.registry.is_granted("88.118.8")
        await made.registry.decide("88.118.8", passed=True, message="审核通过")
        await made.reopen()
        for _ in range(2):  # it stays until it is acknowledged
            answer = await made.ask(PollRequest())
            assert answer.code is ResultCode.COMPLETED_ACK_TO_DEQUEUE
            assert isinstance(answer.data, Notice)
            assert answer.data.is_passed
            assert answer.data.prefix == "88.118.8"
            assert answer.data.server_id == applied.server_id
        assert answer.queue is not None
        left = await made.ask(PollAcknowledge(answer.queue.message_id))
        assert left.queue is not None
        assert left.queue.count == 0
        again = PollAcknowledge(answer.queue.message_id)
        assert await made.code(again) is ResultCode.OBJECT_DOES_NOT_EXIST
        assert await made.code(PollRequest()) is ResultCode.COMPLETED_NO_MESSAGES
        assert made.registry.is_granted("88.118.8")
        assert made.registry.is_granted("88.118.8.1")
        assert not made.registry.is_granted("88.118.80")


async def test_refused_prefix_may_be_applied_for_again_and_a_taken_one_may_not(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as made:
        await made.ask(CreateEnterprise(NODE, ENTERPRISE))
        create, check = CreatePrefix(NODE, "ENT-1", "88.118.8"), CheckPrefix(NODE, "88.118.8")
        assert await made.code(check) is ResultCode.COMPLETED
        await made.ask(create)
        assert await made.code(check) is ResultCode.OBJECT_EXISTS
        assert await made.code(create) is ResultCode.OBJECT_EXISTS
        await made.registry.decide("88.118.8", passed=False, message="材料不全")
        refused = (await made.ask(PollRequest())).data
        assert isinstance(refused, Notice)
        assert (refused.is_passed, refused.audit_message) == (False, "材料不全")
        assert await made.code(check) is ResultCode.COMPLETED
        assert await made.code(create) is ResultCode.COMPLETED_ACTION_PENDING


async def test_command_that_is_sent_again_under_its_transaction_id_gets_the_same_answer(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as made:
        await made.ask(CreateEnterprise(NODE, ENTERPRISE))
        create = CreatePrefix(NODE, "ENT-1", "88.118.8")
        for _ in range(2):
            answer = await made.ask_as("CL-same", create)
            assert answer.code is ResultCode.COMPLETED_ACTION_PENDING
        assert len(await made.registry.prefixes()) == 1


async def test_prefix_of_another_node_or_of_nobody_is_refused(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        other = CreatePrefix("88.119", "ENT-1", "88.119.8")
        assert await made.code(other) is ResultCode.AUTHORIZATION_ERROR
        nobody = CreatePrefix(NODE, "ENT-1", "88.118.8")
        assert await made.code(nobody) is ResultCode.OBJECT_DOES_NOT_EXIST


async def test_prefixes_are_granted_at_once_or_after_a_while_as_the_policy_says(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as made:
        await made.ask(CreateEnterprise(NODE, ENTERPRISE))
        made.registrar.policy = Policy(0)
        assert await made.code(CreatePrefix(NODE, "ENT-1", "88.118.1")) is ResultCode.COMPLETED
        assert made.registry.is_granted("88.118.1")
        made.registrar.policy = Policy(60)
        await made.ask(CreatePrefix(NODE, "ENT-1", "88.118.2"))
        assert await made.registrar.decide_due() == 0
        made.now += 61
        assert await made.registrar.decide_due() == 1
        assert made.registry.is_granted("88.118.2")


@pytest.mark.parametrize("spelling", Spelling)
async def test_answer_is_in_the_spelling_of_its_command(tmp_path: Path, spelling: Spelling) -> None:
    async with desk(tmp_path) as made:
        frame = encode_command(Request(CheckPrefix(NODE, "88.118.8"), "CL-1", spelling))
        assert b"1000" in await made.registrar.answer(frame)


async def test_of_people_and_papers_nothing_is_kept(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        await made.ask(CreateEnterprise(NODE, ENTERPRISE))
        await made.ask(ChangeEnterprise("shr", "ENT-1", EnterpriseChange(contact=CONTACT)))
    kept = whole_of(tmp_path)
    told = (CONTACT.name, CONTACT.phone, CONTACT.email, LEGAL_PERSON.name, LEGAL_PERSON.id_number)
    assert [each for each in told if each.encode() in kept] == []
    assert LEGAL_PERSON.id_photo not in kept
    assert ENTERPRISE.unit_name.encode() in kept


def whole_of(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


HOSTILE = (
    b"",
    b"not xml",
    b'<?xml version="1.0"?><!DOCTYPE epp [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><epp>&b;</epp>',
    b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>',
    b"<epp>" * 50,
    b"\xff\xfe<epp/>",
    b"<epp xmlns='urn:ietf:params:xml:ns:epp-1.0'>" + b"<command/>" * 300 + b"</epp>",
    b"<epp>" + b"a" * 2_000_000 + b"</epp>",
)


@pytest.mark.parametrize("frame", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_xml_is_answered_with_2001(tmp_path: Path, frame: bytes) -> None:
    async with desk(tmp_path) as made:
        answer = await made.registrar.answer(frame)
        assert decode_answer(answer, "").code is ResultCode.COMMAND_SYNTAX_ERROR
        assert b"passwd" not in answer


@asynccontextmanager
async def registered(
    tmp_path: Path, **options: Any
) -> AsyncIterator[tuple[Node, httpx.AsyncClient]]:
    async with top_level(tmp_path, **options) as found, page_of(found) as page:
        node = node_of(found)
        try:
            yield node, page
        finally:
            await node.transport.close()


async def test_over_https_a_person_decides_on_the_page(tmp_path: Path) -> None:
    async with registered(tmp_path) as (node, page):
        await node.command(CreateEnterprise(NODE, ENTERPRISE))
        for prefix in ("88.118.8", "88.118.9"):
            await node.command(CreatePrefix(NODE, "ENT-1", prefix))
        for body, status in (
            ({"prefix": "88.118.8", "pass": True}, 200),
            ({"prefix": "88.118.8", "pass": True}, 404),
            ({"prefix": "88.118.9", "pass": False}, 422),
            ({"prefix": "88.118.9", "pass": "no"}, 422),
            ({"prefix": "88.118.9", "pass": False, "message": "材料不全"}, 200),
        ):
            assert (await page.post("/epp/decisions", json=body)).status_code == status
        epp = (await page.get("/epp")).json()
        assert {each["prefix"]: each["state"] for each in epp["prefixes"]} == {
            "88.118.8": "granted",
            "88.118.9": "refused",
        }
        assert epp["queue"] == 2
        notices = []
        while (answer := await node.command(PollRequest())).queue is not None:
            notices.append(answer.data)
            await node.command(PollAcknowledge(answer.queue.message_id))
        assert [each.is_passed for each in notices if isinstance(each, Notice)] == [True, False]


async def test_prefixes_are_decided_by_themselves_when_the_policy_says_so(tmp_path: Path) -> None:
    async with registered(tmp_path) as (node, page):
        await node.command(CreateEnterprise(NODE, ENTERPRISE))
        assert (await page.post("/epp/policy", json={"decide_seconds": 0.01})).status_code == 200
        await node.command(CreatePrefix(NODE, "ENT-1", "88.118.8"))
        while (await node.command(PollRequest())).code is ResultCode.COMPLETED_NO_MESSAGES:
            continue
        assert (await page.post("/epp/policy", json={"decide_seconds": 0})).status_code == 200
        answer = await node.command(CreatePrefix(NODE, "ENT-1", "88.118.9"))
        assert answer.code is ResultCode.COMPLETED
        for wrong in ({"decide_seconds": -1}, {"decide_seconds": "soon"}):
            assert (await page.post("/epp/policy", json=wrong)).status_code == 422
