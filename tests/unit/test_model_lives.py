"""Every state × action × role of every life, against tables that are written out here once more, by hand."""

from collections.abc import Iterator
from enum import IntEnum, StrEnum
from typing import Any

import pytest

from node.model.application import APPLICATION_LIFE, ApplicationAction
from node.model.enterprise import ENTERPRISE_LIFE, EnterpriseAction
from node.model.hosting import HOSTING_LIFE, HostingAction
from node.model.life import Life, Need
from node.model.role import Role
from node.model.rule import ModelError
from node.model.stage import PREFIX_LIFE, STATUS_OF, PrefixAction, Stage, Status
from node.model.template import TEMPLATE_LIFE, TemplateAction

# state -> {action -> (state after it, who may, what it needs)}; "-" is what does not exist yet.
A, OP, R, T, S = "enterprise operator", "operator", "reviewer", "top_level", "system"
ENTERPRISE = {
    "-": {"apply": ("submitted", A, "")},
    "submitted": {
        "correct": ("submitted", A, ""),
        "begin_review": ("in_review", R, ""),
        "disable": ("disabled", OP, "reason"),
    },
    "in_review": {
        "return": ("submitted", R, ""),
        "approve": ("approved", R, "verification"),
        "reject": ("rejected", R, "reason"),
        "disable": ("disabled", OP, "reason"),
    },
    "rejected": {"correct": ("submitted", A, ""), "disable": ("disabled", OP, "reason")},
    "approved": {"correct": ("submitted", A, ""), "disable": ("disabled", OP, "reason")},
    "disabled": {"enable": ("approved", OP, "approved_form"), "reopen": ("submitted", OP, "")},
}
PREFIX = {
    "-": {"apply": ("waiting", A, "admitted_enterprise")},
    "waiting": {"withdraw": ("removed", A, ""), "begin_review": ("in_review", R, "")},
    "in_review": {
        "return": ("waiting", R, ""),
        "approve": ("approved", R, "admitted_enterprise"),
        "reject": ("rejected", R, "reason"),
    },
    "rejected": {
        "correct": ("waiting", A, "admitted_enterprise"),
        "withdraw": ("removed", A, ""),
    },
    "approved": {
        "send": ("sent", S, ""),
        "grant": ("granted", T, ""),
        "refuse": ("refused", T, "reason"),
    },
    "sent": {"grant": ("granted", T, ""), "refuse": ("refused", T, "reason")},
    "refused": {
        "correct": ("waiting", A, "admitted_enterprise"),
        "withdraw": ("removed", A, ""),
    },
    "granted": {
        "configure": ("granted", A, ""),
        "activate": ("active", OP, "admitted_enterprise service"),
        "suspend": ("suspended", T, "reason"),
        "mark_for_deletion": ("to_be_deleted", OP, "reason"),
    },
    "active": {
        "configure": ("active", A, ""),
        "stop": ("stopped", OP, "reason"),
        "suspend": ("suspended", T, "reason"),
    },
    "stopped": {
        "configure": ("stopped", A, ""),
        "activate": ("active", OP, "admitted_enterprise service"),
        "suspend": ("suspended", T, "reason"),
        "mark_for_deletion": ("to_be_deleted", OP, "reason"),
    },
    "suspended": {"lift": ("stopped", T, "")},
    "to_be_deleted": {
        "suspend": ("suspended", T, "reason"),
        "restore": ("stopped", OP, ""),
        "remove": ("removed", OP, ""),
    },
    "removed": {},
}
HOSTING = {
    "-": {},
    "1": {"apply": ("2", A, "")},
    "2": {"withdraw": ("1", A, ""), "approve": ("4", R, "server"), "reject": ("3", R, "reason")},
    "3": {"apply": ("2", A, ""), "withdraw": ("1", A, "")},
    "4": {"end": ("1", OP, "reason")},
}
TEMPLATE = {
    "-": {"create": ("draft", A, "")},
    "draft": {
        "change": ("draft", A, ""),
        "publish": ("published", A, ""),
        "delete": ("deleted", A, "unused"),
    },
    "published": {"revise": ("published", A, ""), "withdraw": ("withdrawn", A, "")},
    "withdrawn": {
        "publish": ("published", A, ""),
        "revise": ("withdrawn", A, ""),
        "delete": ("deleted", A, "unused"),
    },
    "deleted": {},
}
APPLICATION = {
    "-": {"register": ("in_use", A, "")},
    "in_use": {"change": ("in_use", A, ""), "retire": ("retired", A, "")},
    "retired": {"resume": ("in_use", A, "")},
}

LIVES: tuple[tuple[Life[Any, Any], type[StrEnum], dict[str, Any]], ...] = (
    (ENTERPRISE_LIFE, EnterpriseAction, ENTERPRISE),
    (PREFIX_LIFE, PrefixAction, PREFIX),
    (HOSTING_LIFE, HostingAction, HOSTING),
    (TEMPLATE_LIFE, TemplateAction, TEMPLATE),
    (APPLICATION_LIFE, ApplicationAction, APPLICATION),
)
State = IntEnum | StrEnum | None


def states_of(life: Life[Any, Any]) -> list[Any]:
    return list(life.states.__members__.values())


def every_step() -> Iterator[Any]:
    for life, actions, expected in LIVES:
        for state in (None, *states_of(life)):
            for action in actions:
                of = "-" if state is None else str(state.value)
                step = expected[of].get(action.value)
                yield pytest.param(life, state, action, step, id=f"{life.name}-{of}-{action}")


def needs(words: str) -> set[Need]:
    return {Need[word.upper()] for word in words.split()}


def refusal(life: Life[Any, Any], state: State, action: StrEnum, **given: Any) -> str:
    with pytest.raises(ModelError) as caught:
        life.next_state(state, action, **given)
    return caught.value.rule


@pytest.mark.parametrize(("life", "state", "action", "step"), list(every_step()))
def test_a_step_leads_where_the_table_says_or_is_refused_with_its_rule(
    life: Life[Any, Any], state: State, action: StrEnum, step: tuple[str, str, str] | None
) -> None:
    if step is None:
        rule = refusal(life, state, action, roles=set(Role), met=set(Need))
        assert rule == f"{life.name}.{action.value}"
        return
    after, by, wanted = step
    for role in Role:
        if role.value in by.split():
            found = life.next_state(state, action, roles={role}, met=needs(wanted))
            assert str(found.value) == after
        else:
            assert refusal(life, state, action, roles={role}, met=set(Need)) == "role"
    for need in needs(wanted):
        assert refusal(life, state, action, roles=set(Role), met=set(Need) - {need}) == need.value


@pytest.mark.parametrize(
    ("life", "actions", "expected"), LIVES, ids=[life[0].name for life in LIVES]
)
def test_every_action_has_one_law_and_every_state_its_row(
    life: Life[Any, Any], actions: type[StrEnum], expected: dict[str, Any]
) -> None:
    assert [law.action for law in life.laws] == list(actions)
    assert set(expected) == {"-", *(str(state.value) for state in states_of(life))}


@pytest.mark.parametrize(
    ("life", "actions", "expected"), LIVES, ids=[life[0].name for life in LIVES]
)
def test_what_can_be_done_is_offered_to_who_may(
    life: Life[Any, Any], actions: type[StrEnum], expected: dict[str, Any]
) -> None:
    for state in (None, *states_of(life)):
        row = expected["-" if state is None else str(state.value)]
        for role in Role:
            offered = {action.value for action in life.actions_from(state, {role})}
            assert offered == {name for name, step in row.items() if role.value in step[1].split()}


def test_a_refusal_says_what_can_be_done_instead() -> None:
    with pytest.raises(ModelError, match="it is stopped now, and you can: configure, activate"):
        PREFIX_LIFE.next_state(Stage.STOPPED, PrefixAction.STOP, roles={Role.OPERATOR})


def test_every_stage_shows_a_public_number() -> None:
    assert set(STATUS_OF) == set(Stage)
    assert set(STATUS_OF.values()) == set(Status)
    assert [stage for stage, number in STATUS_OF.items() if number is Status.ACTIVE] == [
        Stage.ACTIVE
    ]


def test_no_prefix_becomes_active_without_the_grant_of_the_top_level_node() -> None:
    reached, before = {Stage.WAITING}, set[Stage]()
    while reached != before:
        before = set(reached)
        for law in PREFIX_LIFE.laws:
            if law.action is not PrefixAction.GRANT:
                reached |= {law.steps[state] for state in before if state in law.steps}
    assert not reached & {Stage.GRANTED, Stage.ACTIVE, Stage.STOPPED, Stage.SUSPENDED}


def test_only_the_top_level_node_ends_its_own_suspension() -> None:
    ways = [law.by for law in PREFIX_LIFE.laws if Stage.SUSPENDED in law.steps]
    assert ways == [frozenset({Role.TOP_LEVEL})]
