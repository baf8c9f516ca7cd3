"""The objects of the model as the node keeps them: operator, routes, enterprises, prefixes, templates, applications.

`Objects` has all use cases.  A step is one transaction: the object, its version, its rows in the tables that are
synced, what it does to resolution, and the changes that tell of it; or nothing of all that.
"""

from node.registry.objects.bodies import state_of
from node.registry.objects.held import (
    CLASSES,
    Actor,
    Held,
    ObjectExists,
    ObjectKind,
    ObjectMissing,
    Step,
    Value,
    VersionMoved,
)
from node.registry.objects.identity import application_id, id_of, template_id
from node.registry.objects.objects import Objects

__all__ = [
    "CLASSES",
    "Actor",
    "Held",
    "ObjectExists",
    "ObjectKind",
    "ObjectMissing",
    "Objects",
    "Step",
    "Value",
    "VersionMoved",
    "application_id",
    "id_of",
    "state_of",
    "template_id",
]
