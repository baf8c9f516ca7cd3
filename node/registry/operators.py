"""Operators: who may administrate the node itself: the node's own operator, and the administrators of this server.

A token of a server administrator counts only when it was made for that (the scope `operate`).
"""

from node.registry.facts import MAX_ROUNDS
from node.registry.preparation import Policy
from resolver.access import Missing, admits_any
from resolver.registrar import Caller, KeyStore, Scope
from resolver.wire import HandleValue


class Operators:
    """Answers whether a caller is one."""

    def __init__(self, policy: Policy, keys: KeyStore) -> None:
        """`keys` gives the records of groups (HS_VLIST) among the server's administrators."""
        self._policy = policy
        self._keys = keys

    async def admits(self, caller: Caller) -> bool:
        """Whether the caller may administrate the node.  Raises SourceUnavailable."""
        if caller.is_operator:
            return True
        if caller.prefixes or (caller.scopes is not None and Scope.OPERATE not in caller.scopes):
            return False
        groups: dict[bytes, tuple[HandleValue, ...] | None] = {}
        for _ in range(MAX_ROUNDS):
            admins, canonical = self._policy.server_admins, self._policy.canonical
            found = admits_any(caller, admins, groups, canonical)
            if not isinstance(found, Missing):
                return found
            for key in found.keys:
                values = await self._keys.keys(key)
                groups[key] = None if values is None else tuple(values)
        return False
