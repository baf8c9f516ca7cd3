"""The reference of the model has every field, code, state, step and rule, as they are."""

import re
from dataclasses import MISSING
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest

from node.model import mask
from node.model.application import APPLICATION_LIFE, Application
from node.model.enterprise import ENTERPRISE_LIFE, Enterprise, Verification
from node.model.entity import Entity
from node.model.field import Checked, NamedField, fields_of
from node.model.hosting import HOSTING_LIFE
from node.model.industry import Industry
from node.model.installation import Installation, Licence, Undertaking, Website
from node.model.kind import Choice, Many
from node.model.life import Life
from node.model.master import MasterRecord
from node.model.operator import Operator
from node.model.organisation import Organisation
from node.model.person import Contact, LegalPerson
from node.model.prefix import Prefix
from node.model.rule import Rule
from node.model.site import Route, Site
from node.model.stage import PREFIX_LIFE, STATUS_OF
from node.model.template import TEMPLATE_LIFE, Attribute, Template

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "model.md").read_text("utf-8")
CLASSES: tuple[type[Checked], ...] = (
    Operator,
    Enterprise,
    Verification,
    Entity,
    Organisation,
    LegalPerson,
    Contact,
    Industry,
    Installation,
    Undertaking,
    Licence,
    Website,
    Prefix,
    Site,
    Route,
    Template,
    Attribute,
    Application,
    MasterRecord,
)
LIVES: tuple[Life[Any, Any], ...] = (
    ENTERPRISE_LIFE,
    PREFIX_LIFE,
    HOSTING_LIFE,
    TEMPLATE_LIFE,
    APPLICATION_LIFE,
)
SHOWN = {
    mask.mask_name: "`张*`",
    mask.mask_phone: "`138****0000`",
    mask.mask_number: "`1****************X`",
    mask.mask_email: "`z***@example.com`",
    mask.mask_wholly: "`***`",
}


def section(heading: str) -> str:
    """The text below a heading, up to the next one."""
    return re.split(r"^#+ ", PAGE.partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(heading: str) -> list[str]:
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return lines[2:]


def field_row(field: NamedField) -> str:
    """A field as the page shows it."""
    given = field.default
    needed = "yes" if given is MISSING else "no"
    if isinstance(given, IntEnum | StrEnum):
        needed = f"no: `{given.value}`"
    shown = SHOWN[field.says.mask] if field.says.mask else ""
    return (
        f"| `{field.name}` | {field.says.chinese} | {field.says.kind.says} | {needed} | {shown} |"
    )


def step_rows(life: Life[Any, Any]) -> list[str]:
    """The table of a life as the page shows it: one row for each action and state after it."""
    found = []
    for law in life.laws:
        for after in dict.fromkeys(law.steps.values()):
            before = [state for state, to in law.steps.items() if to is after]
            sources = ", ".join("–" if each is None else f"`{each.value}`" for each in before)
            who = ", ".join(sorted(role.value for role in law.by))
            wants = ", ".join(sorted(f"`{need.value}`" for need in law.needs))
            found.append(
                f"| `{life.rule_of(law.action)}` | {sources} | `{after.value}` | {who} | {wants} | {law.sentence} |"
            )
    return found


def choices() -> list[type[IntEnum]]:
    found: dict[str, type[IntEnum]] = {}
    for of in CLASSES:
        for field in fields_of(of):
            kind = field.says.kind.of if isinstance(field.says.kind, Many) else field.says.kind
            if isinstance(kind, Choice) and issubclass(kind.among, IntEnum):
                found[kind.among.__name__] = kind.among
    return list(found.values())


@pytest.mark.parametrize("of", CLASSES, ids=lambda of: of.__name__)
def test_fields_are_documented(of: type[Checked]) -> None:
    assert rows(f"### {of.__name__}") == [field_row(field) for field in fields_of(of)]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_steps_are_documented(life: Life[Any, Any]) -> None:
    assert rows(f"### Life of {life.name}") == step_rows(life)


@pytest.mark.parametrize("among", choices(), ids=lambda among: among.__name__)
def test_codes_are_documented(among: type[IntEnum]) -> None:
    documented = re.findall(
        rf"^\| {among.__name__} \| (\d+) \| `(\w+)` \| .+ \|$", PAGE, re.MULTILINE
    )
    assert documented == [(str(each.value), each.name.lower()) for each in among]


def test_the_public_number_of_every_stage_is_documented() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (\d) ", section("### Stages"), re.MULTILINE)
    assert documented == [(stage.value, str(number.value)) for stage, number in STATUS_OF.items()]


def test_every_rule_of_fields_is_documented() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", section("## Rules of fields"), re.MULTILINE)
    assert documented == [rule.value for rule in Rule]
