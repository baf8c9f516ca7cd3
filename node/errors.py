"""RegistryError: the one failure that crosses module borders inside the node, a kind and a readable detail.

Each edge has one table from `Kind` to its own codes: HTTP problem, handle response code, exit code of the command line.
What is not a RegistryError is internal, and its detail stays inside.
"""

from enum import StrEnum


class Kind(StrEnum):
    """What sort of failure it is; the edges decide what that means to their callers."""

    INVALID = "invalid"  # what was given breaks a rule: a line of a file, an argument
    MISCONFIGURED = "misconfigured"  # a setting is wrong
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # the thing exists already, or has changed since it was read
    FORBIDDEN = "forbidden"  # the caller, or this process's account, may not
    IN_USE = "in_use"  # an address or a directory is held by another process
    UNAVAILABLE = (
        "unavailable"  # a server that is needed cannot be reached, or did not answer in time
    )


class RegistryError(Exception):
    """A use case, or the start of the node, could not be carried out.

    `detail` is one plain sentence for the person who has to act: what is wrong, and what to do about it.
    """

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


def first_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure in what a task group raised that has a sentence for the operator, else the first one."""
    first: BaseException = group.subgroup(RegistryError) or group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
