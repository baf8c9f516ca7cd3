"""The tables take whatever the model holds: else a change could be stored and never sent."""

from typing import Any

import pytest

from node.model import kind as model_kind
from node.model.application import Application
from node.model.entity import Entity
from node.model.field import Checked, fields_of
from node.model.form import Part as ModelPart
from node.model.form import read, write
from node.model.master import MasterRecord
from node.model.operator import Operator
from node.model.site import Route
from node.model.template import Template
from sync.channels.tables import ENTERPRISE, TABLES, Field, Part
from sync.channels.tables import kind as table_kind
from tests.support.tablerows import table_rows

PHOTOS = {"certificate_photo", "photo_front", "photo_back"}  # 表6 has none
OPERATOR_ONLY = {"website", "industries", "verification", "naming_standard"}  # and its check asks
FOUR_LEVELS = {"division", "group", "subclass"}  # of a template's industry; its check asks for them


def entity_fields() -> tuple[Field, ...]:
    kind = next(field.kind for field in ENTERPRISE.fields if field.name == "entity")
    assert isinstance(kind, Part)
    return kind.fields


PAIRS: dict[str, tuple[type[Checked], tuple[Field, ...]]] = {
    "1": (Operator, TABLES["1"].fields),
    "2": (Route, TABLES["2"].fields),
    "4": (Template, TABLES["4"].fields),
    "5": (Application, TABLES["5"].fields),
    "6": (Entity, entity_fields()),
    "9": (MasterRecord, TABLES["9"].fields),
    "11": (Template, TABLES["11"].fields),
}


def complaints(model: type[Checked], fields: tuple[Field, ...], above: str = "") -> list[str]:
    """Where a table is narrower than the model."""
    table = {field.name: field for field in fields}
    found = []
    for each in fields_of(model):
        path = f"{above}{each.name}"
        field = table.pop(each.name, None)
        if field is None:
            found.append(f"{path}: the table has no such field")
            continue
        if field.required and not each.is_required:
            found.append(f"{path}: required by the table alone")
        found += narrower(each.says.kind, field.kind, path)
    return found + [
        f"{above}{name}: required, unknown to the model" for name in table if table[name].required
    ]


def narrower(model: Any, table: Any, path: str) -> list[str]:
    if isinstance(model, model_kind.Many):
        assert isinstance(table, table_kind.Many), path
        return narrower(model.of, table.of, path) + (
            [f"{path}: a shorter list"] if table.most < model.most else []
        )
    if isinstance(model, ModelPart):
        assert isinstance(table, Part), path
        return complaints(model.of, table.fields, f"{path}.")
    if isinstance(model, model_kind.Choice):
        assert isinstance(table, table_kind.Choice), path
        missing = {member.value for member in model.among} - set(table.among)
        return [f"{path}: not {sorted(missing)}"] if missing else []
    if isinstance(model, model_kind.Number):
        assert isinstance(table, table_kind.Number), path
        return [] if table.least <= model.least <= model.most <= table.most else [f"{path}: range"]
    if isinstance(model, model_kind.Text) and isinstance(table, table_kind.Text):
        return [] if table.longest >= model.longest else [f"{path}: shorter"]
    return []


@pytest.mark.parametrize("number", PAIRS)
def test_no_table_is_narrower_than_the_model(number: str) -> None:
    model, fields = PAIRS[number]

    found = complaints(model, fields)

    assert [each for each in found if not is_meant(number, each)] == []


def is_meant(number: str, complaint: str) -> bool:
    path, _, words = complaint.partition(": ")
    last = path.rpartition(".")[2]
    if words.startswith("the table has no"):
        return number == "6" and last in PHOTOS
    if words.startswith("required by"):
        return (number == "1" and last in OPERATOR_ONLY) or (
            number in ("4", "11") and last in FOUR_LEVELS
        )
    return words == "not ['deleted', 'draft']"  # such a template has no row


@pytest.mark.parametrize("number", ["1", "2", "5", "9", "11"])
def test_the_json_of_a_model_is_a_row(number: str) -> None:
    model, _ = PAIRS[number]
    row = table_rows()[number]

    assert TABLES[number].encode(write(read(model, row))) == TABLES[number].encode(row)


def test_the_form_of_an_enterprise_is_the_entity_of_its_row() -> None:
    row = table_rows()["6"]

    row["entity"] = write(read(Entity, row["entity"]))

    assert TABLES["6"].encode(row) == TABLES["6"].encode(table_rows()["6"])
