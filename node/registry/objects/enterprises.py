"""Enterprises: the use cases of an enterprise's life, each with all that it does to its prefixes."""

from collections.abc import Callable

from node.model.enterprise import (
    ENTERPRISE_LIFE,
    Enterprise,
    EnterpriseAction,
    Verification,
    apply,
)
from node.model.entity import Entity
from node.model.prefix import Prefix
from node.registry.objects.desk import Desk
from node.registry.objects.held import Actor, Held, ObjectKind
from node.registry.objects.transaction import Deed, Transaction


class Enterprises(Desk):
    """Takes the steps of enterprises.

    All raise ModelError (a rule of the model or of a table), ObjectMissing, ObjectExists, VersionMoved,
    StoreUnavailable and StoreError.
    """

    async def apply_enterprise(
        self,
        form: Entity,
        actor: Actor,
        *,
        id: str | None = None,  # noqa: A002  as callers say it
    ) -> Held:
        """Hand in the first form of an enterprise, under a number of ours (made up when None)."""
        number = self._unique().hex if id is None else id
        applied = apply(number, form, roles=actor.roles)
        deed = Deed(ENTERPRISE_LIFE.rule_of(EnterpriseAction.APPLY), actor)
        return await self._take(deed, lambda step: step.put(applied, None))

    async def step_enterprise(
        self,
        number: str,
        action: EnterpriseAction,
        actor: Actor,
        *,
        reason: str = "",
        form: Entity | None = None,
        if_version: int | None = None,
    ) -> Held:
        """Take a step; disabling and enabling stop and start all its prefixes with it."""

        def after(before: Enterprise) -> Enterprise:
            return before.take(action, roles=actor.roles, reason=reason, form=form)

        deed = Deed(ENTERPRISE_LIFE.rule_of(action), actor, reason)
        return await self._change(number, deed, after, if_version)

    async def verify_enterprise(
        self,
        number: str,
        verification: Verification,
        actor: Actor,
        *,
        if_version: int | None = None,
    ) -> Held:
        """Note the result of real-name verification of the newest form."""

        def after(before: Enterprise) -> Enterprise:
            return before.verify(verification, roles=actor.roles)

        return await self._change(number, Deed("enterprise.verify", actor), after, if_version)

    async def note_upstream(self, number: str, upstream_id: str, actor: Actor) -> Held:
        """Note the number that the top-level node gives to an enterprise (entId).  The same again is no step."""

        def after(before: Enterprise) -> Enterprise:
            return before.note_upstream(upstream_id, roles=actor.roles)

        return await self._change(number, Deed("enterprise.note_upstream", actor), after, None)

    async def _change(
        self,
        number: str,
        deed: Deed,
        after: Callable[[Enterprise], Enterprise],
        if_version: int | None,
    ) -> Held:
        async def work(step: Transaction) -> Held:
            held = await step.hold(ObjectKind.ENTERPRISE, number, if_version=if_version)
            before = held.of(Enterprise)
            changed = after(before)
            if changed == before:
                return held
            done = await step.put(changed, held)
            if changed.is_admitted != before.is_admitted:
                await _answer_prefixes(step, changed)
            return done

        return await self._take(deed, work)


async def _answer_prefixes(step: Transaction, enterprise: Enterprise) -> None:
    """Stop or start all prefixes of an enterprise."""
    for held in await step.hold_all(ObjectKind.PREFIX, enterprise.id):
        step.answer(held.of(Prefix), enterprise)
