"""Held: an object of the model as it is kept, the steps that brought it there, who took them, and what can go wrong.

An object is a whole: the operator, a route of the node's own, an enterprise, a prefix, a template, an application.  Its
id is canonical, so that two spellings of one name are one object; its version counts its steps and is its ETag.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias, TypeVar

from node.errors import Kind, RegistryError
from node.model.application import Application
from node.model.enterprise import Enterprise
from node.model.operator import Operator
from node.model.prefix import Prefix
from node.model.role import Role
from node.model.site import Route
from node.model.template import Template

Value: TypeAlias = Operator | Route | Enterprise | Prefix | Template | Application
Sort = TypeVar("Sort", Operator, Route, Enterprise, Prefix, Template, Application)


class ObjectKind(StrEnum):
    """What an object is."""

    OPERATOR = "operator"  # 表1; its id is the node's own prefix
    ROUTE = "route"  # 表2; identifier type and prefix
    ENTERPRISE = "enterprise"  # 表6
    PREFIX = "prefix"  # 表7; its id is the canonical name
    TEMPLATE = "template"  # 表4 and 表11; name and version
    APPLICATION = "application"  # 表5 and 表10; enterprise (empty: the node's own) and name


CLASSES: Final[dict[ObjectKind, type[Value]]] = {
    ObjectKind.OPERATOR: Operator,
    ObjectKind.ROUTE: Route,
    ObjectKind.ENTERPRISE: Enterprise,
    ObjectKind.PREFIX: Prefix,
    ObjectKind.TEMPLATE: Template,
    ObjectKind.APPLICATION: Application,
}


class Actor(NamedTuple):
    """Who takes a step: in which roles, under which name, how that was proven, and from where."""

    roles: frozenset[Role]
    caller: str
    means: str
    origin: str


class Held(NamedTuple):
    """An object as it stands.

    `enterprise` is whose it is, empty for the node's own; `state` that of its life, `kept` or `gone` of what has none.
    """

    kind: ObjectKind
    id: str
    enterprise: str
    state: str
    version: int
    changed_at: datetime
    value: Value

    def of(self, sort: type[Sort]) -> Sort:
        """Return the value as what it is by its kind."""
        assert isinstance(self.value, sort)  # noqa: S101  its kind says so
        return self.value


class Step(NamedTuple):
    """One step of an object's history: its version and state afterwards, and never what is personal.

    `action` is the name of the rule that allowed it: `prefix.activate`.
    """

    version: int
    at: datetime
    action: str
    state: str
    caller: str
    means: str
    origin: str
    reason: str


class ObjectMissing(RegistryError):
    """There is no such object."""

    def __init__(self, kind: ObjectKind, key: str) -> None:
        super().__init__(Kind.NOT_FOUND, f"There is no {kind.value} {key!r}.")


class ObjectExists(RegistryError):
    """The name is taken, be it by an object that is gone: a name is given once."""

    def __init__(self, kind: ObjectKind, key: str) -> None:
        super().__init__(Kind.CONFLICT, f"The {kind.value} {key!r} is there already, or was once.")


class VersionMoved(RegistryError):
    """Somebody was faster: the object is not at the version that the step was meant for."""

    def __init__(self, held: Held) -> None:
        super().__init__(
            Kind.CONFLICT, f"The {held.kind.value} is at version {held.version}; read it again."
        )
        self.held = held
