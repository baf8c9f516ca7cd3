"""Any JSON is read as a value that is written back as it is, or refused with ModelError; masks hide."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.model.application import Application
from node.model.certificate import (
    OrganisationPaper,
    PersonPaper,
    check_organisation_paper,
    check_person_paper,
)
from node.model.enterprise import Enterprise
from node.model.entity import Entity
from node.model.field import Checked
from node.model.form import read, write, write_masked
from node.model.mask import mask_email, mask_number, mask_phone
from node.model.master import MasterRecord
from node.model.personal import join, split
from node.model.prefix import Prefix
from node.model.rule import ModelError
from node.model.site import Site
from node.model.template import Template
from tests.support.model import entity_form, template_form

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
KINDS: tuple[type[Checked], ...] = (
    Application,
    Enterprise,
    Entity,
    MasterRecord,
    Prefix,
    Site,
    Template,
)


def places(form: Any) -> list[tuple[Any, Any]]:
    """Every place in a form: what holds it, and its name or number there."""
    found: list[tuple[Any, Any]] = []
    inside = form.items() if isinstance(form, dict) else enumerate(form)
    for name, value in inside:
        found.append((form, name))
        if isinstance(value, dict | list):
            found += places(value)
    return found


def read_or_refuse(kind: type[Checked], given_json: object) -> None:
    try:
        value = read(kind, given_json)
    except ModelError:
        return
    written = json.loads(json.dumps(write(value)))
    assert read(kind, written) == value
    json.dumps(write_masked(value)).encode()
    assert join(*split(value)) == write(value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(any_json=JSON)
def test_any_json_is_read_or_refused(kind: type[Checked], any_json: Any) -> None:
    read_or_refuse(kind, any_json)


@given(data=st.data())
def test_a_form_with_anything_in_one_place_is_read_or_refused(data: st.DataObject) -> None:
    kind, form = data.draw(st.sampled_from([(Entity, entity_form()), (Template, template_form())]))
    holder, name = data.draw(st.sampled_from(places(form)))
    holder[name] = data.draw(JSON)
    read_or_refuse(kind, form)


@given(st.text(max_size=40))
def test_any_number_of_a_paper_is_accepted_or_refused(number: str) -> None:
    with suppress(ModelError):
        check_organisation_paper(OrganisationPaper.CREDIT_CODE, number, "f")
    with suppress(ModelError):
        check_person_paper(PersonPaper.ID_CARD, number, "f")


@given(st.text(min_size=8, max_size=40))
def test_a_mask_shows_less_than_there_is(text: str) -> None:
    for mask in (mask_phone, mask_number):
        assert sum(character != "*" for character in mask(text)) <= 7
    assert text.partition("@")[0][1:] == "" or text not in mask_email(text)
