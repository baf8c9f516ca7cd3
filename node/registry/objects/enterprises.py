"""Enterprises: the use cases of an enterprise's life, each with all that it does to its prefixes."""

from node.model.enterprise import EnterpriseAction, Verification
from node.model.entity import Entity
from node.registry.objects.desk import Desk
from node.registry.objects.held import Actor, Held


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
        raise NotImplementedError

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
        raise NotImplementedError

    async def verify_enterprise(
        self,
        number: str,
        verification: Verification,
        actor: Actor,
        *,
        if_version: int | None = None,
    ) -> Held:
        """Note the result of real-name verification of the newest form."""
        raise NotImplementedError

    async def note_upstream(self, number: str, upstream_id: str, actor: Actor) -> Held:
        """Note the number that the top-level node gives to an enterprise (entId)."""
        raise NotImplementedError
