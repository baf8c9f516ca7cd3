"""What objects become outside, as pure functions: rows of the tables that are synced, and values of prefix records."""

from dataclasses import replace
from datetime import date
from ipaddress import ip_address

import orjson
import pytest

from node.model.enterprise import Enterprise, EnterpriseState, Verification
from node.model.entity import Entity
from node.model.form import read
from node.model.hosting import Hosting
from node.model.operator import Operator
from node.model.prefix import Prefix
from node.model.rule import ModelError
from node.model.site import MAX_SITES, IpType, Route, Site
from node.model.stage import Stage
from node.model.template import Template, TemplateState
from node.registry.objects.delegation import with_sites
from node.registry.objects.held import ObjectKind
from node.registry.objects.identity import canonical_id, id_of, template_id
from node.registry.objects.rows import row_of
from resolver.wire import HandleValue, decode_site
from sync.channels.tables import TABLES
from tests.support.model import entity_form, template_form
from tests.support.objects import HERE, THERE, THERE_6
from tests.support.tablerows import table_rows

NOW = 1_800_000_000
VERIFIED = Verification(passed=True, on=date(2026, 1, 31), method="营业执照核验")
FORM = read(Entity, entity_form())
APPROVED = Enterprise(
    id="e1",
    upstream_id="ENT-7",
    state=EnterpriseState.APPROVED,
    form=FORM,
    approved=FORM,
    verification=VERIFIED,
    approved_verification=VERIFIED,
)
ACTIVE = Prefix(prefix="88.118.8", enterprise="e1", stage=Stage.ACTIVE, sites=(THERE,))
HOSTED = replace(ACTIVE, sites=(), hosting=Hosting.HOSTED, hosting_server="main")
OWN = HandleValue(1, b"URL", b"https://own/", timestamp=7)


def test_the_row_of_an_enterprise_is_that_of_its_approved_form() -> None:
    other = replace(FORM, data_escrow="另一家")
    under_review = replace(APPROVED, state=EnterpriseState.SUBMITTED, form=other)

    row = row_of(under_review)

    assert row == row_of(APPROVED)
    assert row.body is not None
    assert TABLES["6"].check(row.body, key=row.key).is_accepted
    assert orjson.loads(row.body) == table_rows()["6"]


def test_the_row_of_an_enterprise_has_no_photos() -> None:
    form = entity_form()
    form["organisation"]["certificate_photo"] = "f1"
    form["organisation"]["legal_person"]["photo_front"] = "f2"
    form["organisation"]["contact"]["photo_back"] = "f3"
    with_photos = read(Entity, form)

    row = row_of(replace(APPROVED, form=with_photos, approved=with_photos))

    assert row == row_of(APPROVED)


def test_the_row_of_the_operator_has_its_photos() -> None:
    row = row_of(read(Operator, table_rows()["1"]))

    assert row.body == TABLES["1"].encode(table_rows()["1"])


@pytest.mark.parametrize(("prefix", "sites"), [(ACTIVE, [THERE]), (HOSTED, [HERE])])
def test_the_route_of_a_prefix_leads_to_who_answers(prefix: Prefix, sites: list[Site]) -> None:
    row = row_of(prefix, owner=APPROVED, here=(HERE,))

    assert row.body is not None
    assert (row.table, row.key) == ("7", "vaa|88.118.8")
    assert [site["ip"] for site in orjson.loads(row.body)["sites"]] == [site.ip for site in sites]


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.ACTIVE])
def test_a_prefix_that_is_not_active_has_no_route(stage: Stage) -> None:
    row = row_of(replace(HOSTED, stage=stage, reason="检修"), owner=APPROVED, here=(HERE,))

    assert row == ("7", "vaa|88.118.8", None)


def test_a_prefix_of_a_disabled_enterprise_has_no_route() -> None:
    disabled = replace(APPROVED, state=EnterpriseState.DISABLED, reason="注销")

    assert row_of(ACTIVE, owner=disabled).body is None
    assert row_of(disabled).body is not None  # what is known of it stays true


@pytest.mark.parametrize("state", TemplateState)
@pytest.mark.parametrize(("whose", "table"), [("", "4"), ("e1", "11")])
def test_a_template_is_told_while_it_is_published_or_withdrawn(
    state: TemplateState, whose: str, table: str
) -> None:
    template = replace(read(Template, template_form()), state=state)

    row = row_of(template, enterprise=whose)

    is_told = state in (TemplateState.PUBLISHED, TemplateState.WITHDRAWN)
    assert (row.table, row.body is not None) == (table, is_told)


def test_a_route_that_goes_has_no_row() -> None:
    route = read(Route, table_rows()["2"])

    assert row_of(route).body == TABLES["2"].encode(table_rows()["2"])
    assert row_of(route, is_kept=False) == ("2", "vaa|88.118", None)


def test_a_row_that_is_refused_names_its_table_and_field() -> None:
    with pytest.raises(ModelError) as refused:
        row_of(HOSTED, owner=APPROVED, here=())

    assert (refused.value.rule, refused.value.field) == ("table_7", "sites")


def test_sites_become_values_that_lead_to_them() -> None:
    four, six = with_sites((), (THERE, THERE_6), NOW)

    (server,), (other,) = decode_site(four.data).servers, decode_site(six.data).servers
    assert (four.type, six.type) == (b"HS_SITE", b"HS_SITE.6")
    assert (four.index, six.index, four.timestamp) == (1, 2, NOW)
    assert server.address == bytes(12) + ip_address(THERE.ip).packed
    assert other.address == ip_address(THERE_6.ip).packed
    assert [(each.kind, each.protocol, each.port) for each in server.interfaces] == [
        (3, 1, 2642),
        (2, 0, 2643),
    ]
    assert [(each.protocol, each.port) for each in other.interfaces] == [(1, 2642), (2, 8080)]
    assert decode_site(four.data).multi_primary
    assert not decode_site(with_sites((), (THERE,), NOW)[0].data).multi_primary


def test_values_of_others_stay_where_they_are() -> None:
    values = with_sites((OWN,), (THERE,), NOW)

    assert [(value.index, value.type) for value in values] == [(1, b"URL"), (2, b"HS_SITE")]
    assert with_sites(values, (), NOW) == (OWN,)


def test_sites_that_stay_keep_their_index_and_time() -> None:
    before = with_sites((), (THERE, THERE_6), NOW)

    assert with_sites(before, (THERE_6, THERE), NOW + 60) == before
    moved = replace(THERE, ip="192.0.2.99")
    after = {value.index: value for value in with_sites(before, (moved, THERE_6), NOW + 60)}
    assert after[2] == before[1]
    assert after[1].timestamp == NOW + 60


def test_as_many_sites_as_are_allowed_have_values_of_their_own() -> None:
    sites = [Site(ip_type=IpType.V4, ip=f"192.0.2.{n}", tcp_port=1) for n in range(MAX_SITES)]

    values = with_sites((OWN,), sites, NOW)

    assert len({value.index for value in values}) == MAX_SITES + 1


def test_two_spellings_of_a_name_are_one_object() -> None:
    lower = replace(ACTIVE, prefix="88.118.abc")

    assert id_of(lower) == canonical_id(ObjectKind.PREFIX, "88.118.Abc") == "88.118.ABC"
    spelled = template_id("88.118.8/Meta", "1.0a")
    assert spelled == canonical_id(ObjectKind.TEMPLATE, "88.118.8/meta|1.0a")
    assert spelled != template_id("88.118.8/Meta", "1.0A")
