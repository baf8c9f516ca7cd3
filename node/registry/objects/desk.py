"""Desk: what all use cases of objects share: reading them, and the one transaction that a step is."""

from node.registry.objects.held import Held, ObjectKind, Step

MAX_LISTED = 1_000


class Desk:
    """Reads objects, and takes steps whole or not at all."""

    async def read(self, kind: ObjectKind, key: str) -> Held | None:
        """Return an object with all that is personal.  Raises StoreUnavailable, StoreError."""
        raise NotImplementedError

    async def history(
        self, kind: ObjectKind, key: str, *, after: int = 0, limit: int = 100
    ) -> list[Step]:
        """Return the steps after a version, the oldest first, at most MAX_LISTED.  Raises as `read`."""
        raise NotImplementedError

    async def list(
        self,
        kind: ObjectKind,
        *,
        enterprise: str | None = None,
        state: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[Held]:
        """Return objects in the order of their ids, those after `after`, at most MAX_LISTED.  Raises as `read`."""
        raise NotImplementedError
