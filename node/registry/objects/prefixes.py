"""Prefixes: the use cases of an enterprise prefix; each is one transaction, with what it does to resolution."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from node.model.enterprise import Enterprise
from node.model.hosting import HOSTING_LIFE, HostingAction
from node.model.prefix import Prefix, apply
from node.model.prefixname import canonical
from node.model.role import Role
from node.model.rule import ModelError
from node.model.site import IdentifierType, Site
from node.model.stage import PREFIX_LIFE, PrefixAction, Stage
from node.registry.objects.desk import Desk
from node.registry.objects.held import Actor, Held, ObjectKind, ObjectMissing
from node.registry.objects.transaction import Deed, Transaction, Whose
from node.store.answering import lock_answers
from node.store.objects import hold_prefix_names, owner_of

APPLY = PREFIX_LIFE.rule_of(PrefixAction.APPLY)
CONFIGURE = PREFIX_LIFE.rule_of(PrefixAction.CONFIGURE)
REFRESH = "prefix.refresh"
REFRESHED_AT_ONCE = 200
SELF = Actor(frozenset({Role.SYSTEM}), "node", "start", "here")

After = Callable[[Prefix, Enterprise], Prefix]


class Prefixes(Desk):
    """Takes the steps of prefixes.  All raise as those of `Enterprises`.  Names may be spelled in any case."""

    async def apply_prefix(
        self,
        prefix: str,
        enterprise: str,
        actor: Actor,
        *,
        identifier_type: IdentifierType = IdentifierType.VAA,
    ) -> Held:
        """Apply for a prefix below the node's own.  A name is given once, and none that is homed by hand."""

        async def work(step: Transaction) -> Held:
            owner = (await step.hold(ObjectKind.ENTERPRISE, enterprise, share=True)).of(Enterprise)
            applied = apply(prefix, self._secondary, owner, roles=actor.roles)
            applied = replace(applied, identifier_type=identifier_type)
            await _check_free(step, applied)
            return await step.put(applied, None, Whose(owner=owner))

        return await self._take(Deed(APPLY, actor), work)

    async def step_prefix(
        self,
        prefix: str,
        action: PrefixAction,
        actor: Actor,
        *,
        reason: str = "",
        if_version: int | None = None,
    ) -> Held:
        """Take a step of a prefix's life; sites are the business of `configure_prefix`."""

        def after(before: Prefix, owner: Enterprise) -> Prefix:
            return before.take(action, owner, roles=actor.roles, reason=reason)

        deed = Deed(PREFIX_LIFE.rule_of(action), actor, reason)
        return await self._change_prefix(prefix, deed, after, if_version)

    async def configure_prefix(
        self,
        prefix: str,
        sites: Sequence[Site],
        actor: Actor,
        *,
        if_version: int | None = None,
    ) -> Held:
        """Delegate a prefix to the enterprise's servers."""

        def after(before: Prefix, _: Enterprise) -> Prefix:
            return before.configure(tuple(sites), roles=actor.roles)

        return await self._change_prefix(prefix, Deed(CONFIGURE, actor), after, if_version)

    async def step_hosting(
        self,
        prefix: str,
        action: HostingAction,
        actor: Actor,
        *,
        reason: str = "",
        server: str = "",
        sites: Sequence[Site] = (),
        if_version: int | None = None,
    ) -> Held:
        """Take a step about hosting; `sites` are where an active prefix goes when hosting ends."""

        def after(before: Prefix, _: Enterprise) -> Prefix:
            given = tuple(sites)
            return before.take_hosting(
                action, roles=actor.roles, reason=reason, server=server, sites=given
            )

        deed = Deed(HOSTING_LIFE.rule_of(action), actor, reason)
        return await self._change_prefix(prefix, deed, after, if_version)

    async def refresh_routes(self) -> None:
        """Have all active prefixes answered and told as they are to be: this node may have another address by now.

        What is right stays as it is, so that this is done at every start.
        """
        after = ""
        while page := await self.list(
            ObjectKind.PREFIX, state=Stage.ACTIVE.value, after=after, limit=REFRESHED_AT_ONCE
        ):

            async def work(step: Transaction, names: Sequence[Held] = page) -> None:
                for each in names:
                    await _refresh(step, each)

            await self._take(Deed(REFRESH, SELF), work)
            after = page[-1].id

    async def _change_prefix(
        self, prefix: str, deed: Deed, after: After, if_version: int | None
    ) -> Held:
        """The owner is held before the prefix, as everybody does; a prefix never changes hands."""

        async def work(step: Transaction) -> Held:
            name = canonical(prefix)
            number = await owner_of(step.connection, ObjectKind.PREFIX.value, name)
            if number is None:
                raise ObjectMissing(ObjectKind.PREFIX, name)
            owner = (await step.hold(ObjectKind.ENTERPRISE, number, share=True)).of(Enterprise)
            held = await step.hold(ObjectKind.PREFIX, name, if_version=if_version)
            return await step.put(after(held.of(Prefix), owner), held, Whose(owner=owner))

        return await self._take(deed, work)


async def _refresh(step: Transaction, held: Held) -> None:
    owner = (await step.hold(ObjectKind.ENTERPRISE, held.enterprise, share=True)).of(Enterprise)
    now = await step.hold(ObjectKind.PREFIX, held.id)
    step.answer(now.of(Prefix), owner)


async def _check_free(step: Transaction, applied: Prefix) -> None:
    """Raise ModelError for a name that is homed or delegated by hand: to take it over would silence it."""
    name = canonical(applied.prefix).encode()
    known = await hold_prefix_names(step.connection, [name])
    facts = await lock_answers(step.connection, [], [name])
    if name in facts.prefixes and name not in known:
        raise ModelError(
            "prefix", APPLY, "this prefix is homed or delegated here by hand; let it go first"
        )
