"""Enterprises, prefixes, templates and the others: what holds between their fields, and how they change by steps."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from node.model import enterprise, prefix
from node.model.application import Application, ApplicationAction, ApplicationState
from node.model.enterprise import Enterprise, EnterpriseAction, EnterpriseState, Verification
from node.model.entity import Entity
from node.model.form import read, write
from node.model.hosting import Hosting, HostingAction
from node.model.industry import Industry
from node.model.master import MasterRecord
from node.model.prefix import Answerer, Prefix
from node.model.role import Role
from node.model.rule import ModelError
from node.model.site import Route, Site
from node.model.stage import PrefixAction, Stage, Status
from node.model.template import CarrierType, Template, TemplateAction, TemplateState, check_revision
from tests.support.model import entity_form, template_form

ALL = frozenset(Role)
PASSED = Verification(passed=True, on=date(2026, 1, 5), method="营业执照与法人核验")
SITE = read(Site, {"ip_type": "4", "ip": "192.0.2.7", "tcp_port": 2641})


def applied() -> Enterprise:
    return enterprise.apply("e1", read(Entity, entity_form()), roles=ALL)


def approved() -> Enterprise:
    reviewed = applied().take(EnterpriseAction.BEGIN_REVIEW, roles=ALL)
    return replace(reviewed, verification=PASSED).take(EnterpriseAction.APPROVE, roles=ALL)


def granted(owner: Enterprise) -> Prefix:
    made = prefix.apply("88.118.8", "88.118", owner, roles=ALL)
    for action in (
        PrefixAction.BEGIN_REVIEW,
        PrefixAction.APPROVE,
        PrefixAction.SEND,
        PrefixAction.GRANT,
    ):
        made = made.take(action, owner, roles=ALL)
    return made


def active(owner: Enterprise) -> Prefix:
    return (
        granted(owner).configure((SITE,), roles=ALL).take(PrefixAction.ACTIVATE, owner, roles=ALL)
    )


def renamed() -> Entity:
    form = entity_form()
    form["organisation"]["name"] = "潍坊新名轴承有限公司"
    return read(Entity, form)


def refusal(call: Any, *given: Any, **named: Any) -> tuple[str, str]:
    with pytest.raises(ModelError) as caught:
        call(*given, **named)
    return caught.value.field, caught.value.rule


def test_an_enterprise_is_approved_only_when_it_has_been_verified() -> None:
    reviewed = applied().take(EnterpriseAction.BEGIN_REVIEW, roles=ALL)
    assert refusal(reviewed.take, EnterpriseAction.APPROVE, roles=ALL)[1] == "needs_verification"
    failed = replace(reviewed, verification=replace(PASSED, passed=False))
    assert refusal(failed.take, EnterpriseAction.APPROVE, roles=ALL)[1] == "needs_verification"
    assert approved().is_admitted


def test_a_change_under_review_alters_nothing_outside() -> None:
    before = approved()
    changed = before.take(EnterpriseAction.CORRECT, roles=ALL, form=renamed())
    assert changed.state is EnterpriseState.SUBMITTED
    assert changed.approved == before.form
    assert changed.is_admitted


def test_a_new_name_must_be_verified_anew() -> None:
    owner = approved()
    assert owner.take(EnterpriseAction.CORRECT, roles=ALL, form=renamed()).verification is None
    assert owner.take(EnterpriseAction.CORRECT, roles=ALL, form=owner.form).verification == PASSED


def test_a_correction_brings_a_form_and_nothing_else_does() -> None:
    assert refusal(approved().take, EnterpriseAction.CORRECT, roles=ALL) == ("form", "together")
    assert refusal(applied().take, EnterpriseAction.BEGIN_REVIEW, roles=ALL, form=renamed()) == (
        "form",
        "together",
    )


def test_a_rejection_keeps_its_reason_until_the_next_step() -> None:
    reviewed = applied().take(EnterpriseAction.BEGIN_REVIEW, roles=ALL)
    assert refusal(reviewed.take, EnterpriseAction.REJECT, roles=ALL) == ("reason", "needs_reason")
    rejected = reviewed.take(EnterpriseAction.REJECT, roles=ALL, reason="营业执照不清晰")
    assert rejected.reason == "营业执照不清晰"
    assert rejected.take(EnterpriseAction.CORRECT, roles=ALL, form=renamed()).reason == ""


def test_a_disabled_enterprise_is_enabled_with_its_approved_form_or_reviewed_anew() -> None:
    disabled = approved().take(EnterpriseAction.DISABLE, roles=ALL, reason="违规")
    assert not disabled.is_admitted
    assert disabled.take(EnterpriseAction.ENABLE, roles=ALL).is_admitted
    assert not disabled.take(EnterpriseAction.REOPEN, roles=ALL).is_admitted
    pending = approved().take(EnterpriseAction.CORRECT, roles=ALL, form=renamed())
    disabled = pending.take(EnterpriseAction.DISABLE, roles=ALL, reason="违规")
    assert refusal(disabled.take, EnterpriseAction.ENABLE, roles=ALL)[1] == "needs_approved_form"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"state": EnterpriseState.REJECTED}, "reason"),
        ({"state": EnterpriseState.DISABLED}, "reason"),
        ({"verification": None}, "verification"),
        ({"approved": None}, "approved"),
    ],
)
def test_an_enterprise_that_exists_is_valid(change: dict[str, Any], field: str) -> None:
    assert refusal(replace, approved(), **change)[0] == field


def test_enterprises_and_prefixes_are_stored_as_json_and_read_back() -> None:
    owner = approved()
    assert read(Enterprise, write(owner)) == owner
    assert read(Prefix, write(active(owner))) == active(owner)


def test_a_prefix_is_for_an_approved_enterprise_below_this_node() -> None:
    assert (
        refusal(prefix.apply, "88.118.8", "88.118", applied(), roles=ALL)[1]
        == "needs_admitted_enterprise"
    )
    assert refusal(prefix.apply, "88.119.8", "88.118", approved(), roles=ALL) == (
        "prefix",
        "together",
    )
    for name in (
        "88.118",
        "88.118.8.1",
        "88.118.",
        "88.118.8/x",
        "88.118.企业",
        "88.118." + "8" * 64,
    ):
        with pytest.raises(ModelError):
            prefix.apply(name, "88.118", approved(), roles=ALL)


def test_a_prefix_resolves_only_while_active_and_its_enterprise_is_admitted() -> None:
    owner = approved()
    made = granted(owner)
    assert made.status is Status.STOPPED
    assert refusal(made.take, PrefixAction.ACTIVATE, owner, roles=ALL)[1] == "needs_service"
    here = active(owner)
    assert here.answerer(owner) is Answerer.ENTERPRISE
    disabled = owner.take(EnterpriseAction.DISABLE, roles=ALL, reason="违规")
    assert here.answerer(disabled) is Answerer.NOBODY
    stopped = here.take(PrefixAction.STOP, owner, roles=ALL, reason="欠费")
    assert stopped.answerer(owner) is Answerer.NOBODY
    assert (
        refusal(stopped.take, PrefixAction.ACTIVATE, disabled, roles=ALL)[1]
        == "needs_admitted_enterprise"
    )
    assert stopped.take(PrefixAction.ACTIVATE, owner, roles=ALL).stage is Stage.ACTIVE


def test_an_active_prefix_moves_to_this_node_and_away_without_a_gap() -> None:
    owner = approved()
    wishing = active(owner).take_hosting(HostingAction.APPLY, roles=ALL)
    assert wishing.answerer(owner) is Answerer.ENTERPRISE
    hosted = wishing.take_hosting(HostingAction.APPROVE, roles=ALL, server="main")
    assert (hosted.sites, hosted.answerer(owner)) == ((), Answerer.HERE)
    end = {"roles": ALL, "reason": "自建节点"}
    assert refusal(hosted.take_hosting, HostingAction.END, **end)[1] == "needs_service"
    moved = hosted.take_hosting(HostingAction.END, roles=ALL, reason="自建节点", sites=(SITE,))
    assert moved.answerer(owner) is Answerer.ENTERPRISE
    assert moved.hosting_server == ""


def test_nothing_is_hosted_or_delegated_before_the_top_level_node_has_granted_it() -> None:
    owner = approved()
    made = prefix.apply("88.118.8", "88.118", owner, roles=ALL)
    assert refusal(made.configure, (SITE,), roles=ALL) == ("state", "prefix.configure")
    wishing = made.take_hosting(HostingAction.APPLY, roles=ALL)
    approve = {"roles": ALL, "server": "main"}
    assert refusal(wishing.take_hosting, HostingAction.APPROVE, **approve) == (
        "state",
        "prefix.configure",
    )
    refused = wishing.take_hosting(HostingAction.REJECT, roles=ALL, reason="资源不足")
    assert (refused.hosting, refused.hosting_reason) == (Hosting.REJECTED, "资源不足")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sites": ()}, "sites"),
        ({"sites": (SITE, SITE)}, "sites"),
        ({"hosting": Hosting.HOSTED, "hosting_server": "main"}, "sites"),
        ({"hosting_server": "main"}, "hosting_server"),
        ({"hosting": Hosting.HOSTED, "sites": ()}, "hosting_server"),
        ({"hosting": Hosting.REJECTED}, "hosting_reason"),
        ({"stage": Stage.SUSPENDED}, "reason"),
    ],
)
def test_a_prefix_that_exists_is_valid(change: dict[str, Any], field: str) -> None:
    assert refusal(replace, active(approved()), **change)[0] == field


@pytest.mark.parametrize(
    ("site", "fault"),
    [
        ({"ip_type": "6", "ip": "192.0.2.7", "tcp_port": 1}, ("ip", "address")),
        ({"ip_type": "4", "ip": "192.0.2.7"}, ("tcp_port", "ports")),
        ({"ip_type": "4", "ip": "224.0.0.1", "udp_port": 1}, ("ip", "address")),
        ({"ip_type": "4", "ip": "255.255.255.255", "udp_port": 1}, ("ip", "address")),
        ({"ip_type": "4", "ip": "192.0.2.7", "http_port": 65536}, ("http_port", "range")),
        ({"ip_type": "4", "ip": "192.0.2.7", "http_port": True}, ("http_port", "kind")),
        ({"ip_type": 4, "ip": "192.0.2.7", "http_port": 80}, ("ip_type", "choice")),
        ({"ip_type": "4", "ip": "192.0.2.7", "http_port": "80"}, ("http_port", "kind")),
    ],
)
def test_a_site_can_be_asked(site: dict[str, Any], fault: tuple[str, str]) -> None:
    assert refusal(read, Site, site) == fault


def test_a_route_has_each_address_once() -> None:
    route = {"identifier_type": "gs1", "prefix": "690-699", "sites": [write(SITE)]}
    assert read(Route, route).sites == (SITE,)
    assert refusal(read, Route, route | {"sites": [write(SITE)] * 2}) == ("sites", "unique")
    spelled = [{"ip_type": "6", "ip": ip, "tcp_port": 1} for ip in ("2001:db8::1", "2001:DB8:0::1")]
    assert refusal(read, Route, route | {"sites": spelled}) == ("sites", "unique")


@pytest.mark.parametrize(
    ("industry", "field"),
    [
        ({"section": "C", "group": "345"}, "division"),
        ({"section": "C", "division": "34", "group": "355"}, "group"),
        ({"section": "C", "division": "34", "group": "345", "subclass": "3461"}, "subclass"),
    ],
)
def test_an_industry_is_deep_without_gaps(industry: dict[str, str], field: str) -> None:
    assert refusal(read, Industry, industry)[0] == field


def test_a_template_has_four_levels_and_no_attribute_twice() -> None:
    form = template_form()
    assert write(read(Template, form)) == form
    form["industry"].pop("subclass")
    assert refusal(read, Template, form) == ("industry.subclass", "required")
    for field in ("index", "name_en", "name"):
        form = template_form()
        form["attributes"][1][field] = form["attributes"][0][field]
        assert refusal(read, Template, form) == ("attributes", "unique")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"index": 1001}, "range"),
        ({"data_type": "number", "max_length": 39}, "range"),
        ({"min_length": 21}, "together"),
        ({"name_en": "内径"}, "form"),
    ],
)
def test_attributes_keep_their_limits(change: dict[str, Any], rule: str) -> None:
    form = template_form()
    form["attributes"][0] |= change
    assert refusal(read, Template, form)[1] == rule


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({"state": 0}, True),
        ({"max_length": 200, "name": "内圈直径"}, True),
        ({"required": False}, True),
        ({"max_length": 19}, False),
        ({"min_length": 1}, False),
        ({"name_en": "diameter"}, False),
        ({"data_type": "date"}, False),
        ({"index": 2005}, False),
    ],
)
def test_a_published_template_is_only_widened(change: dict[str, Any], allowed: bool) -> None:
    old, form = read(Template, template_form()), template_form()
    form["attributes"][0] |= change
    if allowed:
        check_revision(old, read(Template, form))
    else:
        assert refusal(check_revision, old, read(Template, form)) == ("attributes.2000", "kept")


def test_an_attribute_is_added_as_not_required_and_never_removed() -> None:
    old, form = read(Template, template_form()), template_form()
    extra = {"index": 2002, "name_en": "mass", "name": "重量", "max_length": 9}
    form["attributes"].append(extra)
    check_revision(old, read(Template, form))
    form["attributes"][2] = extra | {"required": True}
    assert refusal(check_revision, old, read(Template, form)) == ("attributes.2002", "kept")
    del form["attributes"][1:]
    assert refusal(check_revision, old, read(Template, form)) == ("attributes.2001", "kept")
    form = template_form() | {"carrier": 1}
    assert refusal(check_revision, old, read(Template, form)) == ("carrier", "kept")


def test_a_template_is_changed_at_will_until_it_is_published() -> None:
    draft, form = read(Template, template_form()), template_form()
    form["attributes"].pop()
    smaller = read(Template, form)
    changed = draft.take(TemplateAction.CHANGE, roles=ALL, text=smaller)
    assert changed == smaller
    published = draft.take(TemplateAction.PUBLISH, roles=ALL)
    revise = {"roles": ALL, "text": smaller}
    assert refusal(published.take, TemplateAction.REVISE, **revise) == ("attributes.2001", "kept")
    revised = published.take(TemplateAction.REVISE, roles=ALL, text=draft)
    assert revised.state is TemplateState.PUBLISHED
    assert refusal(draft.take, TemplateAction.CHANGE, roles=ALL) == ("text", "together")
    other = {"roles": ALL, "text": replace(draft, version="2.0")}
    assert refusal(draft.take, TemplateAction.CHANGE, **other) == ("version", "kept")


def test_a_template_is_deleted_only_when_nothing_was_registered_with_it() -> None:
    draft = read(Template, template_form())
    assert refusal(draft.take, TemplateAction.DELETE, roles=ALL)[1] == "needs_unused"
    deleted = draft.take(TemplateAction.DELETE, roles=ALL, is_unused=True)
    assert deleted.state is TemplateState.DELETED


def test_an_application_is_changed_and_retired() -> None:
    made = read(Application, {"name": "追溯", "type": 1, "users": 1, "developer": "示例软件"})
    more = made.take(ApplicationAction.CHANGE, roles=ALL, text=replace(made, users=2))
    assert (more.users, more.state) == (2, ApplicationState.IN_USE)
    retired = more.take(ApplicationAction.RETIRE, roles=ALL)
    assert (
        refusal(retired.take, ApplicationAction.CHANGE, roles=ALL, text=made)[1]
        == "application.change"
    )
    assert refusal(made.take, ApplicationAction.CHANGE, roles=ALL) == ("text", "together")


def test_an_application_counts_its_users() -> None:
    form = {"name": "轴承追溯", "type": 2, "users": 1200, "developer": "示例软件"}
    assert read(Application, form).users == 1200
    assert refusal(read, Application, form | {"users": -1}) == ("users", "range")


def test_only_active_carriers_have_the_fields_of_a_terminal() -> None:
    row = {"identifier": "88.118.8/1", "created": "2026-01-05", "operation": 1, "owner": "张伟明"}
    record = read(MasterRecord, row)
    record.check_carrier(CarrierType.ACTIVE)
    assert refusal(record.check_carrier, CarrierType.OTHER) == ("owner", "together")
