"""The references of the channels: every table, field, code, command and element, as they are."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from sync.channels.cadence import Cadence
from sync.channels.epp import Notice, Outcome, ResultCode
from sync.channels.epp.codes import outcome_of
from sync.channels.epp.commands import ENTERPRISE, Spelling
from sync.channels.epp.form import Row as Element
from sync.channels.epp.form import rows as elements_of
from sync.channels.epp.markup import MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS
from sync.channels.epp.objects import (
    ChangeEnterprise,
    CheckEnterprise,
    CheckPrefix,
    Contact,
    CreateEnterprise,
    CreatePrefix,
    Enterprise,
    EnterpriseChange,
    LegalPerson,
    ReplaceEnterprise,
)
from sync.channels.tables import TABLES, Code, Field, Kind, Many, Part, Table

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
TABLES_PAGE = (REFERENCE / "tables.md").read_text("utf-8")
EPP_PAGE = (REFERENCE / "epp.md").read_text("utf-8")
OBJECTS = (
    *(CheckEnterprise, CheckPrefix, CreateEnterprise, CreatePrefix, ReplaceEnterprise),
    *(ChangeEnterprise, Enterprise, EnterpriseChange, Contact, LegalPerson, Notice),
)


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next one."""
    assert f"\n{heading}\n" in page, heading
    return re.split(r"^#+ ", page.partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(page: str, heading: str) -> list[str]:
    lines = [line for line in section(page, heading).splitlines() if line.startswith("|")]
    return lines[2:]


def heading_of(table: Table) -> str:
    return f"## {f'表{table.number}' if table.number.isdigit() else table.number} {table.chinese}"


def terms_of(table: Table) -> str:
    key = ", ".join([f"`{name}`" for name in table.key])
    return f"`{table.name}`, table `{table.number}`; {table.cadence.chinese}; key {key}"


def field_row(field: Field) -> str:
    required = "yes" if field.required else ""
    return f"| `{field.name}` | {field.chinese} | {field.kind.says} | {required} |"


def parts(kinds: list[Kind]) -> dict[str, Part]:
    """Every object that lies in rows, by its name."""
    found: dict[str, Part] = {}
    while kinds:
        kind = kinds.pop()
        if isinstance(kind, Many):
            kinds.append(kind.of)
        if isinstance(kind, Part):
            assert found.setdefault(kind.name, kind) is kind, kind.name
            kinds += [field.kind for field in kind.fields]
    return found


PARTS = parts([field.kind for table in TABLES.values() for field in table.fields])


@pytest.mark.parametrize("number", TABLES)
def test_a_table_stands_with_its_terms_and_all_its_fields_in_their_order(number: str) -> None:
    table = TABLES[number]

    assert terms_of(table) in section(TABLES_PAGE, heading_of(table))
    assert rows(TABLES_PAGE, heading_of(table)) == [field_row(each) for each in table.fields]


@pytest.mark.parametrize("name", PARTS)
def test_an_object_inside_a_row_stands_with_all_its_fields(name: str) -> None:
    assert rows(TABLES_PAGE, f"### {name}") == [field_row(each) for each in PARTS[name].fields]


def test_nothing_else_has_a_heading_of_a_table_or_object() -> None:
    known = {heading_of(table) for table in TABLES.values()} | {f"### {name}" for name in PARTS}
    found = set(re.findall(r"^## (?:表|M|E ).*$|^### .*$", TABLES_PAGE, re.MULTILINE))

    assert found == known


def test_every_code_and_cadence_stands_in_the_reference() -> None:
    codes = [row.split("|")[1].strip() for row in rows(TABLES_PAGE, "## Verdicts")]

    assert codes == [f"`{code.value}`" for code in Code]
    for cadence in Cadence:
        assert cadence.chinese in TABLES_PAGE


def words(element: Element) -> str:
    """An element as the page shows it: `name`, `[name]` when it may be left out, of what length."""
    if not element.name:
        assert is_dataclass(element.make)
        return f"all of `{element.make.__name__}`"
    return f"`{element.name}`" if element.required else f"[`{element.name}`]"


@pytest.mark.parametrize("make", OBJECTS, ids=lambda make: make.__name__)
def test_an_object_of_epp_stands_with_its_elements_in_their_order(make: type) -> None:
    found = [row for row in EPP_PAGE.splitlines() if row.startswith(f"| `{make.__name__}` |")]
    elements = ", ".join([words(element) for _, element in elements_of(make)])

    assert len(found) == 1
    assert elements in found[0]
    assert len(fields(make)) == len(elements_of(make))


def test_every_result_code_stands_with_what_a_client_does() -> None:
    stands = {}
    for row in rows(EPP_PAGE, "## What comes of a command"):
        outcome, codes = row.strip("|").split("|")[:2]
        stands[outcome.strip().strip("`")] = {int(each) for each in re.findall(r"\d{4}", codes)}

    assert stands == {
        outcome.value: {code.value for code in ResultCode if outcome_of(code) is outcome}
        for outcome in Outcome
    }


def test_namespaces_and_limits_are_told() -> None:
    for word in (ENTERPRISE, *(each.value for each in Spelling)):
        assert f"`{word}`" in EPP_PAGE
    assert MAX_BYTES == 1 << 20
    assert "1 MiB" in EPP_PAGE
    assert f"{MAX_DEPTH} deep" in EPP_PAGE
    assert f"{MAX_ELEMENTS} elements" in EPP_PAGE
