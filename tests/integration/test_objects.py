"""Objects of the model over a real Postgres: steps, versions, history, names that are given once, and who is faster."""

import asyncio
from dataclasses import replace

import pytest

from node.model.application import Application, ApplicationAction, ApplicationState
from node.model.enterprise import Enterprise, EnterpriseAction, EnterpriseState
from node.model.form import read
from node.model.hosting import HostingAction
from node.model.operator import Operator
from node.model.prefix import Prefix
from node.model.role import Role
from node.model.rule import ModelError
from node.model.site import IdentifierType, Route
from node.model.stage import PrefixAction, Stage
from node.model.template import Template, TemplateAction, TemplateState
from node.registry.objects import (
    Actor,
    ObjectExists,
    ObjectKind,
    ObjectMissing,
    Objects,
    VersionMoved,
    application_id,
    template_id,
)
from node.store.database import Database
from resolver.registrar import Operation
from tests.support.model import template_form
from tests.support.objects import (
    EVERYBODY,
    PASSED,
    THERE,
    admit,
    approve,
    delegate,
    everything,
    form_of,
    grant,
    host,
    objects_on,
    synced,
)
from tests.support.registry import do, home, registrar_on, url
from tests.support.tablerows import table_rows

pytestmark = pytest.mark.db

APPLICATION = read(Application, table_rows()["5"])
TEMPLATE = read(Template, template_form())
OPERATOR = read(Operator, table_rows()["1"])
ROUTE = read(Route, table_rows()["2"])


@pytest.fixture
def objects(database: Database) -> Objects:
    return objects_on(database)


async def test_an_enterprise_is_read_as_it_was_handed_in(objects: Objects) -> None:
    applied = await objects.apply_enterprise(form_of(1), EVERYBODY, id="e1")

    held = await objects.read(ObjectKind.ENTERPRISE, "e1")

    assert held == applied
    assert isinstance(applied.value, Enterprise)
    assert (applied.value.form, applied.version, applied.state) == (form_of(1), 1, "submitted")
    assert await objects.read(ObjectKind.ENTERPRISE, "e2") is None


async def test_each_enterprise_gets_a_number_of_its_own(objects: Objects) -> None:
    first = await objects.apply_enterprise(form_of(1), EVERYBODY)
    second = await objects.apply_enterprise(form_of(2), EVERYBODY)

    assert first.id != second.id
    with pytest.raises(ObjectExists):
        await objects.apply_enterprise(form_of(3), EVERYBODY, id=first.id)


async def test_a_step_is_for_who_may_take_it_in_a_state_that_allows_it(objects: Objects) -> None:
    await objects.apply_enterprise(form_of(1), EVERYBODY, id="e1")
    only_operator = EVERYBODY._replace(roles=frozenset({Role.OPERATOR}))

    with pytest.raises(ModelError) as early:
        await objects.step_enterprise("e1", EnterpriseAction.APPROVE, EVERYBODY)
    with pytest.raises(ModelError) as other:
        await objects.step_enterprise("e1", EnterpriseAction.BEGIN_REVIEW, only_operator)
    with pytest.raises(ModelError) as unverified:
        await objects.verify_enterprise("e1", PASSED, only_operator)
    with pytest.raises(ObjectMissing):
        await objects.step_enterprise("e2", EnterpriseAction.APPROVE, EVERYBODY)

    rules = [each.value.rule for each in (early, other, unverified)]
    assert rules == ["enterprise.approve", "role", "role"]
    assert len(await objects.history(ObjectKind.ENTERPRISE, "e1")) == 1


async def test_the_history_of_an_enterprise_is_whole_and_in_order(objects: Objects) -> None:
    await admit(objects)
    await objects.step_enterprise(
        "e1", EnterpriseAction.CORRECT, EVERYBODY, form=form_of(1, phone="0536-8000002")
    )
    await objects.step_enterprise("e1", EnterpriseAction.BEGIN_REVIEW, EVERYBODY)
    await objects.step_enterprise("e1", EnterpriseAction.REJECT, EVERYBODY, reason="照片不清")

    steps = await objects.history(ObjectKind.ENTERPRISE, "e1")

    assert [(each.version, each.action, each.state) for each in steps] == [
        (1, "enterprise.apply", "submitted"),
        (2, "enterprise.verify", "submitted"),
        (3, "enterprise.begin_review", "in_review"),
        (4, "enterprise.approve", "approved"),
        (5, "enterprise.correct", "submitted"),
        (6, "enterprise.begin_review", "in_review"),
        (7, "enterprise.reject", "rejected"),
    ]
    assert steps[-1].reason == "照片不清"
    assert {each[4:7] for each in steps} == {EVERYBODY[1:]}
    assert sorted(each.at for each in steps) == [each.at for each in steps]
    pages = [
        await objects.history(ObjectKind.ENTERPRISE, "e1", after=n, limit=3) for n in (0, 3, 6)
    ]
    assert [step for page in pages for step in page] == steps


async def test_versions_are_never_changed(objects: Objects, database: Database) -> None:
    await admit(objects)

    async with database.connection() as connection:
        for statement in ("update object_version set reason = 'x'", "delete from object_version"):
            with pytest.raises(Exception, match="only ever added to"):
                await connection.execute(statement)


async def test_a_certificate_is_one_enterprises_alone(objects: Objects) -> None:
    await admit(objects, 1)
    await admit(objects, 2)

    with pytest.raises(ModelError) as applied:
        await objects.apply_enterprise(form_of(1), EVERYBODY)
    with pytest.raises(ModelError) as corrected:
        await objects.step_enterprise("e2", EnterpriseAction.CORRECT, EVERYBODY, form=form_of(1))

    assert {applied.value.rule, corrected.value.rule} == {"unique"}
    assert applied.value.field == "form.organisation.certificate_number"


async def test_a_certificate_is_kept_until_another_is_approved(objects: Objects) -> None:
    await admit(objects, 1)
    await objects.step_enterprise("e1", EnterpriseAction.CORRECT, EVERYBODY, form=form_of(7))

    for taken in (1, 7):
        with pytest.raises(ModelError):
            await objects.apply_enterprise(form_of(taken), EVERYBODY)
    await approve(objects, "e1")

    assert await objects.apply_enterprise(form_of(1), EVERYBODY)


async def test_of_two_who_apply_with_one_certificate_one_is_taken(objects: Objects) -> None:
    found = await asyncio.gather(
        *(objects.apply_enterprise(form_of(1), EVERYBODY) for _ in range(4)),
        return_exceptions=True,
    )

    refused = [each for each in found if isinstance(each, ModelError)]
    assert len(refused) == 3
    assert {each.rule for each in refused} == {"unique"}


async def test_of_two_who_take_one_step_one_wins(objects: Objects) -> None:
    await objects.apply_enterprise(form_of(1), EVERYBODY, id="e1")

    unconditional = await asyncio.gather(
        *(
            objects.step_enterprise("e1", EnterpriseAction.BEGIN_REVIEW, EVERYBODY)
            for _ in range(4)
        ),
        return_exceptions=True,
    )
    conditional = await asyncio.gather(
        *(
            objects.step_enterprise("e1", EnterpriseAction.RETURN, EVERYBODY, if_version=2)
            for _ in range(4)
        ),
        return_exceptions=True,
    )

    refused = [each.rule for each in unconditional if isinstance(each, ModelError)]
    moved = [each.held.version for each in conditional if isinstance(each, VersionMoved)]
    assert (refused, moved) == (["enterprise.begin_review"] * 3, [3] * 3)
    assert len(await objects.history(ObjectKind.ENTERPRISE, "e1")) == 3


async def test_a_step_for_another_version_is_refused(objects: Objects) -> None:
    await admit(objects)
    await grant(objects, "88.118.8")

    with pytest.raises(VersionMoved) as enterprise:
        await objects.verify_enterprise("e1", PASSED, EVERYBODY, if_version=1)
    with pytest.raises(VersionMoved):
        await objects.configure_prefix("88.118.8", (THERE,), EVERYBODY, if_version=4)
    with pytest.raises(VersionMoved):
        await objects.step_hosting("88.118.8", HostingAction.APPLY, EVERYBODY, if_version=6)

    assert enterprise.value.held.version == 4
    assert "13800138000" not in str(enterprise.value) + repr(enterprise.value.held)


async def test_lists_are_read_in_pages_and_by_whose_and_state(objects: Objects) -> None:
    await admit(objects, 1)
    await admit(objects, 2)
    await objects.apply_enterprise(form_of(3), EVERYBODY, id="e3")
    for name, whose in (("88.118.1", "e1"), ("88.118.2", "e2"), ("88.118.3", "e1")):
        await objects.apply_prefix(name, whose, EVERYBODY)
    await objects.step_prefix("88.118.3", PrefixAction.BEGIN_REVIEW, EVERYBODY)

    async def ids(kind: ObjectKind, **narrower: str | int) -> list[str]:
        return [held.id for held in await objects.list(kind, **narrower)]  # type: ignore[arg-type]

    assert await ids(ObjectKind.ENTERPRISE) == ["e1", "e2", "e3"]
    assert await ids(ObjectKind.ENTERPRISE, state="approved") == ["e1", "e2"]
    assert await ids(ObjectKind.ENTERPRISE, after="e1", limit=1) == ["e2"]
    assert await ids(ObjectKind.PREFIX, enterprise="e1") == ["88.118.1", "88.118.3"]
    assert await ids(ObjectKind.PREFIX, enterprise="e1", state="in_review") == ["88.118.3"]


async def test_a_prefix_is_applied_for_by_an_admitted_enterprise_below_the_nodes_own(
    objects: Objects,
) -> None:
    await objects.apply_enterprise(form_of(1), EVERYBODY, id="e1")

    with pytest.raises(ModelError) as unadmitted:
        await objects.apply_prefix("88.118.8", "e1", EVERYBODY)
    with pytest.raises(ObjectMissing):
        await objects.apply_prefix("88.118.8", "e2", EVERYBODY)
    await approve(objects, "e1")
    with pytest.raises(ModelError) as elsewhere:
        await objects.apply_prefix("88.119.8", "e1", EVERYBODY)
    held = await objects.apply_prefix(
        "88.118.8", "e1", EVERYBODY, identifier_type=IdentifierType.HANDLE
    )

    assert [unadmitted.value.rule, elsewhere.value.rule] == [
        "needs_admitted_enterprise",
        "together",
    ]
    assert (held.enterprise, held.state) == ("e1", "waiting")
    assert isinstance(held.value, Prefix)
    assert held.value.identifier_type is IdentifierType.HANDLE


async def test_a_name_is_given_once_in_any_spelling_and_for_ever(objects: Objects) -> None:
    await admit(objects, 1)
    await admit(objects, 2)
    await objects.apply_prefix("88.118.abc", "e1", EVERYBODY)
    await objects.step_prefix("88.118.ABC", PrefixAction.WITHDRAW, EVERYBODY)

    for name in ("88.118.abc", "88.118.Abc"):
        with pytest.raises(ObjectExists):
            await objects.apply_prefix(name, "e2", EVERYBODY)
    with pytest.raises(ModelError) as removed:
        await objects.step_prefix("88.118.abc", PrefixAction.CORRECT, EVERYBODY)

    held = await objects.read(ObjectKind.PREFIX, "88.118.aBC")
    assert held is not None
    assert (held.id, held.enterprise, held.state) == ("88.118.ABC", "e1", Stage.REMOVED)
    assert removed.value.rule == "prefix.correct"


async def test_of_two_enterprises_that_want_one_prefix_one_gets_it(objects: Objects) -> None:
    for number in range(1, 5):
        await admit(objects, number)

    found = await asyncio.gather(
        *(objects.apply_prefix("88.118.8", f"e{n}", EVERYBODY) for n in range(1, 5)),
        return_exceptions=True,
    )

    assert sum(isinstance(each, ObjectExists) for each in found) == 3


async def test_a_prefix_that_is_homed_by_hand_is_not_taken_over(
    objects: Objects, database: Database
) -> None:
    await admit(objects)
    await home(database, "88.118.8")

    with pytest.raises(ModelError) as refused:
        await objects.apply_prefix("88.118.8", "e1", EVERYBODY)

    assert refused.value.rule == "prefix.apply"
    assert await objects.read(ObjectKind.PREFIX, "88.118.8") is None


async def test_what_is_approved_is_told_and_nothing_else(
    objects: Objects, database: Database
) -> None:
    await objects.apply_enterprise(form_of(1), EVERYBODY, id="e1")
    assert await synced(database, "6") == []
    await approve(objects, "e1")
    assert await synced(database, "6") == ["e1"]
    await delegate(objects, "88.118.8")
    assert await synced(database, "7") == ["vaa|88.118.8"]
    before = (await everything(database))["sync_row"]

    await objects.step_enterprise("e1", EnterpriseAction.CORRECT, EVERYBODY, form=form_of(9))
    await objects.verify_enterprise("e1", replace(PASSED, method="现场核验"), EVERYBODY)
    assert (await everything(database))["sync_row"] == before  # it is under review

    await objects.step_enterprise("e1", EnterpriseAction.DISABLE, EVERYBODY, reason="注销")
    assert (await synced(database, "6"), await synced(database, "7")) == (["e1"], [])
    await objects.step_enterprise("e1", EnterpriseAction.REOPEN, EVERYBODY)
    assert await synced(database, "6") == []


async def test_the_number_of_the_top_level_node_is_noted_once(objects: Objects) -> None:
    await admit(objects)
    nobody = Actor(frozenset({Role.OPERATOR}), "o", "token", "http")

    with pytest.raises(ModelError):
        await objects.note_upstream("e1", "ENT-7", nobody)
    noted = await objects.note_upstream("e1", "ENT-7", EVERYBODY)
    again = await objects.note_upstream("e1", "ENT-7", EVERYBODY)

    assert isinstance(noted.value, Enterprise)
    assert noted.value.upstream_id == "ENT-7"
    assert noted.value.state is EnterpriseState.APPROVED
    assert again == noted


@pytest.mark.parametrize(("whose", "table"), [("", "4"), ("e1", "11")])
async def test_a_template_is_told_from_its_publication_on(
    objects: Objects, database: Database, whose: str, table: str
) -> None:
    await admit(objects)
    key = template_id(TEMPLATE.name, TEMPLATE.version)

    created = await objects.put_template(TEMPLATE, EVERYBODY, enterprise=whose, if_version=0)
    assert (created.id, created.state, await synced(database, table)) == (key, "draft", [])
    published = await objects.step_template(key, TemplateAction.PUBLISH, EVERYBODY)
    assert await synced(database, table) == [f"{TEMPLATE.name}|1.0"]
    same = await objects.put_template(TEMPLATE, EVERYBODY, enterprise=whose)
    assert same == published  # nothing new
    wider = replace(TEMPLATE, description="轴承")
    revised = await objects.put_template(wider, EVERYBODY, enterprise=whose, if_version=2)
    with pytest.raises(VersionMoved):
        await objects.put_template(TEMPLATE, EVERYBODY, enterprise=whose, if_version=0)
    fewer = replace(TEMPLATE, attributes=TEMPLATE.attributes[:1])
    with pytest.raises(ModelError) as narrowed:
        await objects.put_template(fewer, EVERYBODY, enterprise=whose)
    with pytest.raises(ObjectExists):
        await objects.put_template(TEMPLATE, EVERYBODY, enterprise="" if whose else "e1")

    assert isinstance(revised.value, Template)
    assert revised.value.state is TemplateState.PUBLISHED
    assert narrowed.value.rule == "kept"
    actions = [step.action for step in await objects.history(ObjectKind.TEMPLATE, key)]
    assert actions == ["template.create", "template.publish", "template.revise"]


async def test_a_template_that_records_name_is_not_deleted(
    objects: Objects, database: Database
) -> None:
    await home(database, "88.118.8")
    key = template_id(TEMPLATE.name, TEMPLATE.version)
    await objects.put_template(TEMPLATE, EVERYBODY)
    for action in (TemplateAction.PUBLISH, TemplateAction.WITHDRAW):
        await objects.step_template(key, action, EVERYBODY)
    async with registrar_on(database) as registrar:
        value = url(1001, TEMPLATE.name.encode())
        await do(registrar, Operation.CREATE, "88.118.8/x", value)

        with pytest.raises(ModelError) as used:
            await objects.step_template(key, TemplateAction.DELETE, EVERYBODY)
        await do(registrar, Operation.DELETE, "88.118.8/x")

    deleted = await objects.step_template(key, TemplateAction.DELETE, EVERYBODY)
    with pytest.raises(ModelError) as again:
        await objects.put_template(TEMPLATE, EVERYBODY)

    assert (used.value.rule, deleted.state) == ("needs_unused", "deleted")
    assert again.value.rule == "template.revise"
    assert await synced(database, "4") == []


async def test_a_draft_is_deleted_without_a_search(objects: Objects) -> None:
    draft = await objects.put_template(TEMPLATE, EVERYBODY)

    deleted = await objects.step_template(draft.id, TemplateAction.DELETE, EVERYBODY)

    assert deleted.state == "deleted"


@pytest.mark.parametrize(("whose", "table", "key"), [("", "5", "追溯"), ("e1", "10", "e1|追溯")])
async def test_an_application_is_told_while_in_use_and_when_it_is_retired(
    objects: Objects, database: Database, whose: str, table: str, key: str
) -> None:
    await admit(objects)

    first = await objects.put_application(APPLICATION, EVERYBODY, enterprise=whose)
    assert await objects.put_application(APPLICATION, EVERYBODY, enterprise=whose) == first
    more = replace(APPLICATION, users=99)
    await objects.put_application(more, EVERYBODY, enterprise=whose, if_version=1)
    retired = await objects.step_application(first.id, ApplicationAction.RETIRE, EVERYBODY)
    with pytest.raises(ModelError) as resting:
        await objects.put_application(APPLICATION, EVERYBODY, enterprise=whose)

    assert isinstance(retired.value, Application)
    assert (retired.value.state, retired.value.users) == (ApplicationState.RETIRED, 99)
    assert (retired.id, retired.version) == (application_id(whose, APPLICATION.name), 3)
    assert resting.value.rule == "application.change"
    assert await synced(database, table) == [key]


async def test_what_is_an_enterprises_needs_the_enterprise(objects: Objects) -> None:
    with pytest.raises(ObjectMissing):
        await objects.put_application(APPLICATION, EVERYBODY, enterprise="e1")
    with pytest.raises(ObjectMissing):
        await objects.put_template(TEMPLATE, EVERYBODY, enterprise="e1")
    with pytest.raises(ObjectMissing):
        await objects.put_template(TEMPLATE, EVERYBODY, if_version=3)


async def test_the_operator_is_who_runs_this_node(objects: Objects, database: Database) -> None:
    reviewer = EVERYBODY._replace(roles=frozenset({Role.REVIEWER}))

    with pytest.raises(ModelError) as other:
        await objects.put_operator(OPERATOR, reviewer)
    with pytest.raises(ModelError) as elsewhere:
        await objects.put_operator(replace(OPERATOR, prefix="88.119"), EVERYBODY)
    first = await objects.put_operator(OPERATOR, EVERYBODY)
    again = await objects.put_operator(OPERATOR, EVERYBODY, if_version=1)

    assert (other.value.rule, elsewhere.value.rule) == ("role", "together")
    assert (first.id, first.version, again) == ("88.118", 1, first)
    assert await synced(database, "1") == ["88.118"]


async def test_the_routes_of_the_node_are_those_given_last(
    objects: Objects, database: Database
) -> None:
    oid = replace(ROUTE, identifier_type=IdentifierType.OID, prefix="1.2.156")

    await objects.put_routes((ROUTE, oid), EVERYBODY)
    await objects.put_routes((oid,), EVERYBODY)
    back = await objects.put_routes((oid, ROUTE), EVERYBODY)
    with pytest.raises(ModelError) as twice:
        await objects.put_routes((ROUTE, ROUTE), EVERYBODY)

    assert [(held.id, held.state, held.version) for held in back] == [
        ("oid|1.2.156", "kept", 1),
        ("vaa|88.118", "kept", 3),
    ]
    assert twice.value.rule == "unique"
    assert await synced(database, "2") == ["oid|1.2.156", "vaa|88.118"]


async def test_a_row_that_its_table_does_not_take_is_told_to_who_takes_the_step(
    database: Database,
) -> None:
    objects = objects_on(database, here=())  # nobody could ask there
    await admit(objects)
    before = await everything(database)

    with pytest.raises(ModelError) as refused:
        await host(objects, "88.118.8")

    assert (refused.value.rule, refused.value.field) == ("table_7", "sites")
    held = await objects.read(ObjectKind.PREFIX, "88.118.8")
    assert held is not None
    assert held.state == Stage.GRANTED
    assert (await everything(database))["sync_row"] == before["sync_row"]


async def test_a_prefix_that_the_model_knows_is_not_homed_or_let_go_by_hand(
    objects: Objects, database: Database
) -> None:
    await admit(objects)
    await objects.apply_prefix("88.118.8", "e1", EVERYBODY)
    await host(objects, "88.118.9")

    async with registrar_on(database) as registrar:
        waiting = await do(registrar, Operation.HOME, "0.NA/88.118.8")
        active = await do(registrar, Operation.HOME, "0.NA/88.118.9")
        let_go = await do(registrar, Operation.UNHOME, "0.NA/88.118.9")
        own = await do(registrar, Operation.HOME, "0.NA/88.118")
        own_again = await do(registrar, Operation.UNHOME, "0.NA/88.118")

    assert [each.code for each in (waiting, active, let_go, own, own_again)] == [401, 1, 401, 1, 1]
    assert waiting.message.startswith("prefix.activate: ")
    assert let_go.message.startswith("prefix.stop: ")
    assert active.created is False
