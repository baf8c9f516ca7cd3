"""`idnode application`: software that uses identifiers, of enterprises and of the node itself."""

import argparse

from node.cli.objects import (
    Noun,
    add_enterprise,
    add_noun,
    form_words,
    reading_words,
    run_noun,
    step_words,
)
from node.cli.objectshow import Column
from node.model.application import ApplicationAction, ApplicationState
from sync.channels.tables import TABLES

_EPILOG = """\
examples, on the node's own machine:
  idnode application example > application.json
  idnode application register application.json --enterprise e1
  idnode application list --enterprise e1
  idnode application retire 轴承追溯 --enterprise e1
"""

_A = ApplicationAction


def _takes_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="its name")
    add_enterprise(parser)


def _key(arguments: argparse.Namespace) -> str:
    return TABLES["10"].key_of({"enterprise": arguments.enterprise, "name": arguments.name})


NOUN = Noun(
    "applications",
    _takes_name,
    _key,
    (
        Column("name", "value.name"),
        Column("enterprise", "enterprise"),
        Column("state", "state"),
        Column("type", "value.type"),
        Column("users", "value.users"),
        Column("developer", "value.developer"),
        Column("version", "version"),
        Column("changed at", "changed_at"),
    ),
    tuple(state.value for state in ApplicationState),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    add_noun(parser, WORDS, _EPILOG)


def run(arguments: argparse.Namespace) -> int:
    """Carry it out and return 0.  Raises RegistryError for everything else."""
    return run_noun(arguments, WORDS, "application")


# In the order of an application's life.
WORDS = (
    *reading_words(NOUN),
    *form_words(NOUN, ("register", "register an application"), "change what is told of one in use"),
    *step_words(
        NOUN, {_A.RETIRE: "say that it is used no more", _A.RESUME: "say that it is used again"}
    ),
)
