"""A copy of the database without the key shows nothing personal of the objects, and neither do their histories."""

import logging
from dataclasses import replace

import pytest

from node.model.enterprise import Enterprise, EnterpriseAction
from node.model.form import read
from node.model.operator import Operator
from node.model.personal import personal_texts
from node.registry.objects import ObjectKind
from node.store.database import Database
from tests.support.model import PERSONAL
from tests.support.objects import EVERYBODY, admit, approve, everything, form_of, objects_on
from tests.support.tablerows import table_rows

pytestmark = pytest.mark.db

PLANTED = ("欧阳青云", "13912345678", "ouyang.qingyun@example.net", "G87654321")
OPEN = "潍坊示例轴承有限公司"


async def test_a_copy_of_the_database_shows_no_personal_data(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    objects = objects_on(database)
    await admit(objects)
    name, phone, email, number = PLANTED
    corrected = form_of(1, name=name, phone=phone, email=email, certificate_number=number)
    await objects.step_enterprise("e1", EnterpriseAction.CORRECT, EVERYBODY, form=corrected)
    await approve(objects, "e1")
    await objects.step_enterprise("e1", EnterpriseAction.CORRECT, EVERYBODY, form=form_of(1))
    operator = read(Operator, table_rows()["1"])
    await objects.put_operator(operator, EVERYBODY)

    held = await objects.read(ObjectKind.ENTERPRISE, "e1")
    shorter = {"f2"}  # two bytes, which stand in any seal now and then
    texts = {*PLANTED, *PERSONAL, *personal_texts(operator)} - shorter
    tables = await everything(database)
    seen = {text for text in {*texts, OPEN} if any(holds(row, text) for row in all_rows(tables))}
    assert held is not None
    assert isinstance(held.value, Enterprise)
    assert held.value.approved == corrected  # it is there, for who has the key
    assert {len(tables[name]) for name in ("object", "sync_row")} == {2}
    assert seen == {OPEN}  # which shows that something would be found
    shown = caplog.text + repr(held)
    assert [text for text in PLANTED if text in shown] == []


async def test_a_history_shows_no_personal_data(database: Database) -> None:
    objects = objects_on(database)
    await admit(objects)
    await objects.step_enterprise(
        "e1", EnterpriseAction.CORRECT, EVERYBODY, form=form_of(1, name=PLANTED[0])
    )

    steps = await objects.history(ObjectKind.ENTERPRISE, "e1")

    assert len(steps) == 5
    assert [text for text in (*PERSONAL, *PLANTED) if text in repr(steps)] == []


async def test_what_is_personal_opens_in_its_own_place_alone(database: Database) -> None:
    """Somebody who can write to the database cannot show one enterprise's people as another's."""
    objects = objects_on(database)
    await admit(objects, 1)
    await objects.apply_enterprise(replace(form_of(2), data_escrow="另一家"), EVERYBODY, id="e2")
    async with database.connection() as connection:
        await connection.execute(
            "update object set personal = (select personal from object where id = 'e1')"
            " where id = 'e2'"
        )

    with pytest.raises(ValueError, match="does not open"):
        await objects.read(ObjectKind.ENTERPRISE, "e2")


def all_rows(tables: dict[str, list[tuple[object, ...]]]) -> list[tuple[object, ...]]:
    return [row for rows in tables.values() for row in rows]


def holds(row: tuple[object, ...], text: str) -> bool:
    """Whether any column of a row holds a text, in whichever bytes."""
    spellings = (text.encode(), text.encode("utf-16-be"), ascii(text)[1:-1].encode())
    found = [each if isinstance(each, bytes) else str(each).encode() for each in row]
    return any(spelling in each for each in found for spelling in spellings)
