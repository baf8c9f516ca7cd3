"""Fields: read from JSON and written back; faults have field and rule; personal data is masked where it is shown."""

from datetime import date
from typing import Any

import pytest

from node.model.certificate import credit_code_check, id_card_check
from node.model.entity import Entity
from node.model.form import read, write, write_masked
from node.model.industries import SECTIONS, check_division
from node.model.mask import mask_email, mask_name, mask_number, mask_phone, mask_wholly
from node.model.operator import Operator
from node.model.personal import join, personal_fields, personal_texts, split
from node.model.prefixname import check_under
from node.model.regions import PROVINCES, check_region, check_within
from node.model.rule import ModelError
from tests.support.model import CREDIT_CODE, ID_CARD, PERSONAL, entity_form

ORGANISATION, LEGAL = "organisation", "organisation.legal_person"


def changed(path: str, value: Any) -> dict[str, Any]:
    """A good form with one field changed, or taken out by None."""
    form: Any = entity_form()
    *above, last = path.split(".")
    at = form
    for name in above:
        at = at[int(name)] if isinstance(at, list) else at[name]
    at[int(last) if isinstance(at, list) else last] = value
    return dict(form)


def test_a_good_form_is_read_and_written_back_as_it_was() -> None:
    entity = read(Entity, entity_form())
    assert write(entity) == entity_form()
    assert entity.organisation.founded == date(2010, 5, 1)


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        (f"{ORGANISATION}.name", None, "required"),
        (f"{ORGANISATION}.name", "", "required"),
        (f"{ORGANISATION}.name", "   ", "required"),
        (f"{ORGANISATION}.name", 7, "kind"),
        (f"{ORGANISATION}.name", "名" * 256, "length"),
        (f"{ORGANISATION}.name", "a\nb", "form"),
        (f"{ORGANISATION}.name", "a\u202eb", "form"),
        (f"{ORGANISATION}.name", "a\ud800b", "form"),
        (f"{ORGANISATION}.nature", 6, "choice"),
        (f"{ORGANISATION}.nature", "2", "choice"),
        (f"{ORGANISATION}.nature", True, "choice"),
        (f"{ORGANISATION}.founded", "2010-02-30", "form"),
        (f"{ORGANISATION}.founded", "20100501", "form"),
        (f"{ORGANISATION}.valid_until", "2009-01-01", "together"),
        (f"{ORGANISATION}.certificate_number", CREDIT_CODE[:-1] + "C", "check_digit"),
        (f"{ORGANISATION}.certificate_number", CREDIT_CODE.lower(), "form"),
        (f"{ORGANISATION}.certificate_number", CREDIT_CODE[:-1] + "O", "form"),
        (f"{ORGANISATION}.province", "360700", "region"),
        (f"{ORGANISATION}.city", "110100", "region"),
        (f"{ORGANISATION}.city", "37070", "form"),
        (f"{ORGANISATION}.county", "370105", "region"),
        (f"{ORGANISATION}.section", "U", "industry"),
        (f"{ORGANISATION}.division", "44", "industry"),
        (f"{ORGANISATION}.website", "bearing.example.com", "form"),
        (f"{LEGAL}.certificate_number", ID_CARD[:-1] + "1", "check_digit"),
        (f"{LEGAL}.certificate_number", "110105194913310021", "form"),
        (f"{LEGAL}.phone", "phone", "form"),
        (f"{LEGAL}.email", "zhang@example", "form"),
        (f"{ORGANISATION}.contact", [], "kind"),
        (f"{ORGANISATION}.colour", "red", "unknown"),
        ("installations", [], "required"),
        ("installations", "none", "kind"),
        ("installations.0", {"system": 2, "deployment": 2, "cloud": "示例云"}, "required"),
        ("installations.0.cloud", None, "required"),
        ("installations.3.address", None, "required"),
        ("installations.3.city", "110100", "region"),
        ("installations.0.endpoints", ["[192.0.2.1]:70000"], "range"),
        ("installations.0.endpoints", ["[192.0.2.256]:80"], "address"),
        ("installations.0.endpoints", ["[0.0.0.0]:80"], "address"),
        ("installations.0.endpoints", ["[ff02::1]:80"], "address"),
        ("installations.0.endpoints", ["[192.0.2.1]:80"] * 17, "length"),
        ("built.party", "Somebody", "together"),
        ("operated.party", None, "required"),
        ("licences", [{"type": 9, "number": "1"}], "choice"),
    ],
)
def test_a_fault_is_told_with_its_field_and_rule(path: str, value: Any, rule: str) -> None:
    with pytest.raises(ModelError) as caught:
        read(Entity, changed(path, value))
    assert caught.value.rule == rule
    assert path.startswith(caught.value.field.split(".0")[0]) or caught.value.field.startswith(path)
    assert caught.value.others == ()


def test_all_faults_of_a_form_are_told_at_once_in_order() -> None:
    form = entity_form()
    form["organisation"]["name"] = 1
    form["organisation"]["legal_person"]["phone"] = "x"
    form["installations"][1]["system"] = 9
    form["installations"][2]["deployment"] = 9
    form["surprise"] = True
    with pytest.raises(ModelError) as caught:
        read(Entity, form)
    assert [(fault.field, fault.rule) for fault in caught.value.list_all()] == [
        ("surprise", "unknown"),
        ("organisation.name", "kind"),
        ("organisation.legal_person.phone", "form"),
        ("installations.1.system", "choice"),
        ("installations.2.deployment", "choice"),
    ]


def test_what_is_given_is_trimmed_and_put_into_composed_form() -> None:
    entity = read(Entity, changed("organisation.name", "  Cafe\u0301 "))
    assert entity.organisation.name == "Caf\u00e9"


@pytest.mark.parametrize("given", [None, [], "text", 1])
def test_what_is_no_object_is_refused(given: object) -> None:
    with pytest.raises(ModelError, match="braces"):
        read(Entity, given)


# Codes that their holders publish: Alibaba, Tencent, Huawei, Baidu; and one that is widely printed as an example.
@pytest.mark.parametrize(
    "code",
    [
        "91330100799655058B",
        "9144030071526726XG",
        "914403001922038216",
        "91110000802100433B",
        "91350100M000100Y43",
    ],
)
def test_published_credit_codes_keep_their_check_character(code: str) -> None:
    assert credit_code_check(code[:17]) == code[17]


@pytest.mark.parametrize("place", range(17))
def test_any_one_mistyped_character_of_a_credit_code_is_found(place: int) -> None:
    for other in "0123456789ABCDEFGHJKLMNPQRTUWXY":
        mistyped = CREDIT_CODE[:place] + other + CREDIT_CODE[place + 1 : 17]
        assert (credit_code_check(mistyped) == CREDIT_CODE[17]) == (other == CREDIT_CODE[place])


def test_the_example_of_the_id_card_standard_keeps_its_check_character() -> None:
    assert id_card_check(ID_CARD[:17]) == "X"


def test_provinces_and_industries_are_all_there() -> None:
    assert len(PROVINCES) == 34
    assert len(SECTIONS) == 20
    spans = [range(first, last + 1) for _, first, last in SECTIONS.values()]
    assert [number for span in spans for number in span] == list(range(1, 98))


@pytest.mark.parametrize("code", ["370000", "370700", "370705", "110101", "429004", "810000"])
def test_regions_of_every_level_are_known_by_form(code: str) -> None:
    check_region(code, "region")


@pytest.mark.parametrize("code", ["000000", "100000", "990000", "370001", "３７０７００", "37070"])
def test_what_is_no_region_is_refused(code: str) -> None:
    with pytest.raises(ModelError):
        check_region(code, "region")


@pytest.mark.parametrize(
    ("province", "city", "county"),
    [
        ("370000", "370700", "370705"),
        ("110000", "110100", "110105"),
        ("420000", "429000", "429004"),
        ("440000", "441900", ""),
        ("810000", "810000", ""),
    ],
)
def test_a_city_lies_in_its_province_and_a_county_in_its_city(
    province: str, city: str, county: str
) -> None:
    check_within(province, city, county)


@pytest.mark.parametrize(
    ("section", "division"), [("A", "06"), ("C", "12"), ("T", "98"), ("C", "3")]
)
def test_a_division_belongs_to_one_section(section: str, division: str) -> None:
    with pytest.raises(ModelError):
        check_division(section, division)


@pytest.mark.parametrize(
    ("mask", "text", "shown"),
    [
        (mask_name, "张伟", "张*"),
        (mask_name, "欧阳修文", "欧*"),
        (mask_phone, "13800000000", "138****0000"),
        (mask_phone, "83000001", "****01"),
        (mask_phone, "110", "****"),
        (mask_number, ID_CARD, "1****************X"),
        (mask_number, "E123", "****"),
        (mask_email, "zhang@example.com", "z***@example.com"),
        (mask_wholly, "f1", "***"),
    ],
)
def test_masks(mask: Any, text: str, shown: str) -> None:
    assert mask(text) == shown
    assert mask("") == ""


def test_personal_data_is_masked_in_lists_and_in_what_python_prints() -> None:
    entity = read(Entity, entity_form())
    assert set(personal_texts(entity)) == set(PERSONAL)
    for shown in (str(write_masked(entity)), repr(entity), f"{entity.organisation.contact}"):
        assert not [text for text in PERSONAL if text in shown]
    assert "潍坊示例轴承有限公司" in repr(entity)


def test_the_open_part_of_a_form_shows_nobody_and_the_whole_is_put_together_again() -> None:
    entity = read(Entity, entity_form())
    open_part, personal = split(entity)
    assert not [text for text in PERSONAL if text in str(open_part)]
    assert sorted(personal.values()) == sorted(PERSONAL)
    assert personal["organisation.contact.phone"] == "0536-8000001"
    assert read(Entity, join(open_part, personal)) == entity


def test_a_fault_does_not_repeat_personal_data() -> None:
    for path, planted in (
        ("phone", "1380013x000"),
        ("certificate_number", "11010519491231"),
        ("email", "zhang#x"),
    ):
        with pytest.raises(ModelError) as caught:
            read(Entity, changed(f"{LEGAL}.{path}", planted))
        assert planted not in str(caught.value)


def test_every_field_about_a_person_is_personal() -> None:
    people = {path.removeprefix("organisation.") for path, _ in personal_fields(Entity)}
    told = ("name", "certificate_number", "photo_front", "photo_back", "email", "phone")
    assert people == {f"{who}.{what}" for who in ("legal_person", "contact") for what in told} | {
        "legal_person.fax"
    }


def test_an_operator_gives_what_an_enterprise_may_leave_out() -> None:
    form = entity_form() | {
        "website": {
            "name": "标识服务",
            "domain": "id.example.com",
            "addresses": ["192.0.2.1", "2001:db8::1"],
        },
        "verification": {"by": 1},
        "naming_standard": "YD/T 示例",
        "industries": [{"section": "C"}, {"section": "I", "division": "64"}],
    }
    assert read(Operator, {"prefix": "88.118", "entity": form}).entity.naming_standard
    for field in ("website", "verification", "naming_standard", "industries"):
        with pytest.raises(ModelError) as caught:
            read(Operator, {"prefix": "88.118", "entity": form | {field: None}})
        assert (caught.value.field, caught.value.rule) == (f"entity.{field}", "required")


def test_prefixes_are_given_out_right_below_the_node() -> None:
    check_under("88.118.8", "88.118")
    with pytest.raises(ModelError, match=r"below 88\.118"):
        check_under("88.119.8", "88.118")
