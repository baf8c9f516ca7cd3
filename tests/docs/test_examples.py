"""The example forms are complete and valid, and the OpenAPI document of the admin listener holds what it says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest

from node.model.application import Application
from node.model.enterprise import Verification
from node.model.entity import Entity
from node.model.field import Checked, fields_of
from node.model.form import read, write
from node.model.operator import Operator
from node.model.template import Template
from node.web.examples import NAMES, example, example_text
from node.web.object_rows import object_section
from node.web.objectforms import PrefixApplication, PrefixSites, Routes
from node.web.routes import build_admin_app

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
NOTHING = cast("Any", None)
FORMS: dict[str, type[Checked]] = {
    "enterprise": Entity,
    "verification": Verification,
    "prefix": PrefixApplication,
    "sites": PrefixSites,
    "template": Template,
    "application": Application,
    "operator": Operator,
    "routes": Routes,
}
LEFT_OUT = {  # on purpose: photos are for operators, the state is the node's
    "enterprise": {"photo_front", "photo_back", "certificate_photo"},
    "template": {"state"},
    "application": {"state"},
}


def names_in(value: object) -> set[str]:
    """The names of all members, however deep."""
    if isinstance(value, dict):
        return set(value).union(*(names_in(each) for each in value.values()))
    return set().union(*(names_in(each) for each in value)) if isinstance(value, list) else set()


def fields_in(value: Checked) -> set[str]:
    """The names of all fields that a value, and what it holds, could have."""
    found = set()
    for field in fields_of(type(value)):
        found.add(field.name)
        held = getattr(value, field.name)
        for each in held if isinstance(held, tuple) else (held,):
            found |= fields_in(each) if isinstance(each, Checked) else set()
    return found


def document() -> dict[str, Any]:
    return build_admin_app(bytes, list, sections=[object_section(NOTHING, NOTHING)]).openapi()


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            if path not in ("/metrics", "/healthz", "/readyz"):
                yield f"{method} {path}", operation


def contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body that is described: of requests and of answers."""
    for name, operation in operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            yield f"{name}: request", content
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                yield f"{name}: {status}", content


def test_every_example_is_one_of_these() -> None:
    assert set(FORMS) == set(NAMES)
    assert {path.stem for path in EXAMPLES.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_example_is_valid_and_leaves_nothing_out(name: str) -> None:
    given = example(name)
    form = read(FORMS[name], given)
    assert read(FORMS[name], write(form)) == form
    assert fields_in(form) - names_in(given) <= LEFT_OUT.get(name, set()) | {
        *("party", "contract", "cloud", "endpoints", "province", "city", "county", "address"),
        *("group", "subclass", "http_port", "min_length", "required", "state", "valid_until"),
    }
    assert (EXAMPLES / f"{name}.json").read_text("utf-8") == example_text(name)


def test_every_request_and_answer_is_described_with_an_example() -> None:
    described = dict(contents())
    for name, operation in operations():
        if name.startswith(("post", "put")):
            assert "example" in described[f"{name}: request"], name
        for status, response in operation["responses"].items():
            assert response["description"], name
            if status != "304":
                assert described[f"{name}: {status}"]["schema"], (name, status)
            if status in ("200", "201", "404", "409", "412", "422"):
                assert "example" in described[f"{name}: {status}"], (name, status)


def test_every_example_is_what_its_schema_says() -> None:
    schemas = document()["components"]
    checked = 0
    for name, content in contents():
        schema = {**content["schema"], "components": schemas}
        if "example" in content:
            checked += 1
            faults = [str(each) for each in jsonschema_rs.iter_errors(schema, content["example"])]
            assert faults == [], name
    assert checked > 100


def test_a_schema_refuses_what_the_model_refuses() -> None:
    schemas = document()["components"]
    entity = {"$ref": "#/components/schemas/Entity", "components": schemas}
    contact = {"$ref": "#/components/schemas/Contact", "components": schemas}
    form = example("enterprise")
    given = cast("dict[str, Any]", form["organisation"])["contact"]
    assert jsonschema_rs.is_valid(entity, form)
    assert not jsonschema_rs.is_valid(entity, {**form, "nickname": "x"})
    assert not jsonschema_rs.is_valid(contact, {**given, "phone": "none"})
    assert not jsonschema_rs.is_valid(contact, {**given, "name": ""})
    assert not jsonschema_rs.is_valid(contact, {**given, "certificate_type": 9})
