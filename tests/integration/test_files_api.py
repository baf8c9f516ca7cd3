"""Photos of papers, and what the registration channel has to say, at the admin listener."""

import logging
from collections.abc import AsyncIterator
from secrets import token_urlsafe

import httpx
import pytest

from node.model.enterprise import EnterpriseAction
from node.model.entity import Entity
from node.model.form import read
from node.store.database import Database
from node.store.files import File, Files
from node.store.registration import Due, Registrations, StoredNotice, Told
from node.web.examples import EXAMPLES
from node.web.files import MAX_FILE_BYTES, FilesApi
from node.web.registration import RegistrationApi
from node.web.registration_rows import registration_section
from node.web.routes import build_admin_app
from tests.support.model import entity_form
from tests.support.objects import EVERYBODY, approve, objects_on
from tests.support.operators import desk_on, operator_at
from tests.support.registry import SEAL

pytestmark = pytest.mark.db

PHOTO = (EXAMPLES / "paper.png").read_bytes()


@pytest.fixture
async def operator(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """An operator at the admin listener."""
    desk = desk_on(database)
    section = registration_section(
        RegistrationApi(Registrations(database, SEAL), desk, lambda: "it waits"),
        FilesApi(Files(database, SEAL), desk, lambda: token_urlsafe(16)),
    )
    app = build_admin_app(bytes, list, sections=[section])
    async with operator_at(app, database) as client:
        yield client


async def test_a_photo_is_kept_sealed_and_read_again_by_operators_alone(
    operator: httpx.AsyncClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    told = (await operator.post("/v1/files", content=PHOTO)).json()
    assert (told["media_type"], told["size"]) == ("image/png", len(PHOTO))
    with caplog.at_level(logging.WARNING, "node.web.files"):
        read = await operator.get(f"/v1/files/{told['id']}")
    assert (read.content, read.headers["content-type"]) == (PHOTO, "image/png")
    assert [each.message for each in caplog.records] == ["a photo is read"]
    async with database.connection() as connection:
        kept: bytes = await connection.fetchval("select bytes from file")
    assert PHOTO[:16] not in kept
    stranger = await operator.get(f"/v1/files/{told['id']}", headers={"Authorization": ""})
    assert stranger.status_code == 401


async def test_a_photo_that_no_form_ever_named_goes_after_a_while(database: Database) -> None:
    files, objects = Files(database, SEAL), objects_on(database)
    for name in ("first", "second", "forgotten"):
        assert await files.put(name, File("image/png", PHOTO))
    form = entity_form()
    form["organisation"]["certificate_photo"] = "first"
    await objects.apply_enterprise(read(Entity, form), EVERYBODY, id="e1")
    await approve(objects, "e1")
    form["organisation"]["certificate_photo"] = "second"
    await objects.step_enterprise(
        "e1", EnterpriseAction.CORRECT, EVERYBODY, form=read(Entity, form)
    )
    assert await files.forget_unnamed() == 0
    assert await files.forget_unnamed(0) == 1
    assert sorted(await files.read("first", "second", "forgotten")) == ["first", "second"]


async def test_an_id_may_be_chosen_once(operator: httpx.AsyncClient) -> None:
    for status in (201, 409):
        reply = await operator.post("/v1/files", params={"id": "e1-licence"}, content=PHOTO)
        assert reply.status_code == status, reply.text
    wrong = await operator.post("/v1/files", params={"id": "a b"}, content=PHOTO)
    assert wrong.status_code == 400
    assert (await operator.get("/v1/files/no-such")).status_code == 404


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 415),
        (b"<svg/>", 415),
        (PHOTO + bytes(MAX_FILE_BYTES), 413),
        (b"\xff\xd8\xff jpeg", 201),
        (b"BM bitmap", 201),
    ],
)
async def test_photos_of_three_kinds_are_taken_up_to_a_limit(
    operator: httpx.AsyncClient, content: bytes, status: int
) -> None:
    assert (await operator.post("/v1/files", content=content)).status_code == status


async def test_what_is_to_be_corrected_and_was_decided_is_shown(
    operator: httpx.AsyncClient, database: Database
) -> None:
    store = Registrations(database, SEAL)
    await store.note(Due("e1", 3, None, None), Told(code=2005, reason="张伟明: wrong number"))
    await store.keep(StoredNotice("7", "88.118.9", passed=False, state=None, message="请补充"))
    await store.note_effect("7", "prefix.refuse")
    told = (await operator.get("/v1/registration")).json()
    assert told["trouble"] == "it waits"
    assert told["refused"] == [{"enterprise": "e1", "code": 2005, "reason": "张伟明: wrong number"}]
    [notice] = told["notices"]
    assert (notice["prefix"], notice["message"], notice["effect"]) == (
        "88.118.9",
        "请补充",
        "prefix.refuse",
    )
    async with database.connection() as connection:
        kept: bytes = await connection.fetchval("select reason from registration")
    assert "张伟明".encode() not in kept
