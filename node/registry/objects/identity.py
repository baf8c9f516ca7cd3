"""Identity: the kind and the canonical id of each object, in which two spellings of one name are equal."""

from node.model.application import Application
from node.model.enterprise import Enterprise
from node.model.operator import Operator
from node.model.prefix import Prefix
from node.model.prefixname import canonical
from node.model.site import Route
from node.model.template import Template
from node.registry.objects.held import CLASSES, ObjectKind, Value
from sync.channels.tables import TABLES

_KINDS = {each: kind for kind, each in CLASSES.items()}


def kind_of(value: Value) -> ObjectKind:
    """Return what a value is."""
    return _KINDS[type(value)]


def template_id(name: str, version: str) -> str:
    """Return the id of a version of a template: its name in capitals, since it is a handle, `|`, the version."""
    return TABLES["11"].key_of({"name": canonical(name), "version": version})


def application_id(enterprise: str, name: str) -> str:
    """Return the id of an application: whose it is (empty: the node's own), `|`, its name."""
    return TABLES["10"].key_of({"enterprise": enterprise, "name": name})


def route_id(route: Route) -> str:
    """Return the id of a route of the node's own: `vaa|88.118`."""
    row = {"identifier_type": route.identifier_type.value, "prefix": route.prefix}
    return TABLES["2"].key_of(row)


def canonical_id(kind: ObjectKind, key: str) -> str:
    """Return an id as it is kept."""
    if kind is ObjectKind.PREFIX:
        return canonical(key)
    if kind is ObjectKind.TEMPLATE:
        name, bar, version = key.rpartition("|")
        return canonical(name) + bar + version
    return key


def id_of(value: Value, enterprise: str = "") -> str:
    """Return the id of an object; `enterprise` says whose an application is."""
    match value:
        case Operator() | Prefix():
            return canonical(value.prefix)
        case Route():
            return route_id(value)
        case Enterprise():
            return value.id
        case Template():
            return template_id(value.name, value.version)
        case Application():
            return application_id(enterprise, value.name)
