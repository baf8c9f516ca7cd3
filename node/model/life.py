"""Life (生命周期): the states of a thing, and the one table of which action leads from which state to which.

A row of the table is a `Law`: one action, its sentence, from where to where, who may, and what must be at hand.  What
no row allows is refused with the rule's name, `life.action`.  A step that is refused changes nothing; a step that has
been taken already is refused too, and whoever delivers a verdict twice is recognised by its message, not here.

Looking at facts is the caller's: it says which `Need`s are met, having read them in the transaction of the step.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Generic, TypeVar

from node.model.role import Role
from node.model.rule import ModelError, Rule

State = TypeVar("State", bound=IntEnum | StrEnum)
Action = TypeVar("Action", bound=StrEnum)


class Need(StrEnum):
    """What must be at hand for a step; the value is the rule that is broken without it."""

    REASON = Rule.NEEDS_REASON.value
    VERIFICATION = Rule.NEEDS_VERIFICATION.value
    APPROVED_FORM = Rule.NEEDS_APPROVED_FORM.value
    ADMITTED_ENTERPRISE = Rule.NEEDS_ADMITTED_ENTERPRISE.value
    SERVICE = Rule.NEEDS_SERVICE.value
    SERVER = Rule.NEEDS_SERVER.value
    UNUSED = Rule.NEEDS_UNUSED.value


WANTING = {
    Need.REASON: "give a reason, in words that the enterprise can act on",
    Need.VERIFICATION: "record that the enterprise has passed verification by its real name",
    Need.APPROVED_FORM: "the newest form has not been approved; reopen the review instead",
    Need.ADMITTED_ENTERPRISE: "the enterprise has never been approved, or is disabled",
    Need.SERVICE: "host the prefix, or give at least one site of the enterprise's node",
    Need.SERVER: "name the server that is to host the prefix",
    Need.UNUSED: "identifiers have been registered with it; withdraw it instead",
}


@dataclass(frozen=True, slots=True)
class Law(Generic[State, Action]):
    """One action: its sentence, source and target states (None: it begins the life), who may, what must be at hand."""

    action: Action
    sentence: str
    steps: Mapping[State | None, State]
    by: frozenset[Role]
    needs: frozenset[Need] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Life(Generic[State, Action]):
    """The table of one kind of thing.  Every action has exactly one law."""

    name: str
    states: type[State]
    laws: tuple[Law[State, Action], ...]

    def law_of(self, action: Action) -> Law[State, Action]:
        """Return the law of an action of this life."""
        return next(law for law in self.laws if law.action is action)

    def rule_of(self, action: Action) -> str:
        """Return the name of an action's rule: `prefix.activate`."""
        return f"{self.name}.{action.value}"

    def next_state(
        self,
        state: State | None,
        action: Action,
        *,
        roles: Collection[Role],
        met: Collection[Need] = (),
    ) -> State:
        """Return the state after an action; `state` is None for what does not exist yet.

        Raises ModelError: `life.action` from a state in which it is not allowed, `role` for somebody else's step, the
        need's own rule for what is wanting.
        """
        law = self.check_allowed(state, action, roles)
        if law.by.isdisjoint(roles):
            who = " or ".join(sorted(role.value for role in law.by))
            raise ModelError("state", Rule.ROLE, f"only {who} may {action.value} here")
        for need in Need:
            if need in law.needs and need not in met:
                raise ModelError(_field_of(need), need.value, WANTING[need])
        return law.steps[state]

    def check_allowed(
        self, state: State | None, action: Action, roles: Collection[Role] = ()
    ) -> Law[State, Action]:
        """Return the law of an action that is allowed from a state, whoever takes it.  Raises ModelError."""
        law = self.law_of(action)
        if state not in law.steps:
            raise ModelError("state", self.rule_of(action), self._explain(law, state, roles))
        return law

    def actions_from(self, state: State | None, roles: Collection[Role]) -> tuple[Action, ...]:
        """Return what these roles may do from a state, in the order of the table."""
        return tuple(
            law.action for law in self.laws if state in law.steps and not law.by.isdisjoint(roles)
        )

    def _explain(
        self, law: Law[State, Action], state: State | None, roles: Collection[Role]
    ) -> str:
        now = "it does not exist" if state is None else f"it is {state.name.lower()} now"
        offered = ", ".join(action.value for action in self.actions_from(state, roles))
        return f"{law.sentence}; {now}, and you can: {offered or 'do nothing'}"


def _field_of(need: Need) -> str:
    return "reason" if need is Need.REASON else "state"
