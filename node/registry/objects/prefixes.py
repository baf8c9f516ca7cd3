"""Prefixes: the use cases of an enterprise prefix; each is one transaction, with what it does to resolution."""

from collections.abc import Sequence

from node.model.hosting import HostingAction
from node.model.site import IdentifierType, Site
from node.model.stage import PrefixAction
from node.registry.objects.desk import Desk
from node.registry.objects.held import Actor, Held


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
        raise NotImplementedError

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
        raise NotImplementedError

    async def configure_prefix(
        self,
        prefix: str,
        sites: Sequence[Site],
        actor: Actor,
        *,
        if_version: int | None = None,
    ) -> Held:
        """Delegate a prefix to the enterprise's servers."""
        raise NotImplementedError

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
        raise NotImplementedError
