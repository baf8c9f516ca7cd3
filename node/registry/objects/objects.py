"""Objects: all use cases of the model's objects, for the APIs, the command line and the channels upstream."""

from node.registry.objects.applications import Applications
from node.registry.objects.enterprises import Enterprises
from node.registry.objects.own import OwnData
from node.registry.objects.prefixes import Prefixes
from node.registry.objects.templates import Templates


class Objects(Enterprises, Prefixes, Templates, Applications, OwnData):
    """One a process; see the parts."""
