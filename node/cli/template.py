"""`idnode template`: metadata templates of enterprises and of the node itself, by name and version."""

import argparse

from node.cli.objects import Noun, add_noun, form_words, reading_words, run_noun, step_words
from node.cli.objectshow import Column
from node.model.template import TemplateAction, TemplateState
from sync.channels.tables import TABLES

_EPILOG = """\
examples, on the node's own machine:
  idnode template example > template.json
  idnode template create template.json --enterprise e1
  idnode template publish 88.118.8/META_BEARING 1.0
  idnode template change 88.118.8/META_BEARING 1.0 template.json
"""

_A = TemplateAction


def _takes_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="such as 88.118.8/META_BEARING")
    parser.add_argument("version", metavar="VERSION", help="such as 1.0")


def _key(arguments: argparse.Namespace) -> str:
    return TABLES["11"].key_of({"name": arguments.name, "version": arguments.version})


NOUN = Noun(
    "templates",
    _takes_name,
    _key,
    (
        Column("name", "value.name"),
        Column("version", "value.version"),
        Column("enterprise", "enterprise"),
        Column("state", "state"),
        Column("industry", "value.industry.subclass"),
        Column("description", "value.description"),
        Column("changed at", "changed_at"),
    ),
    tuple(state.value for state in TemplateState),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    add_noun(parser, WORDS, _EPILOG)


def run(arguments: argparse.Namespace) -> int:
    """Carry it out and return 0.  Raises RegistryError for everything else."""
    return run_noun(arguments, WORDS, "template")


# In the order of a template's life.
WORDS = (
    *reading_words(NOUN),
    *form_words(
        NOUN,
        ("create", "create a version of a template, as a draft"),
        "change a draft, or add to what was published",
    ),
    *step_words(
        NOUN,
        {
            _A.PUBLISH: "publish it",
            _A.WITHDRAW: "withdraw it: nothing new is registered with it",
            _A.DELETE: "delete a draft, or a withdrawn one with which nothing was registered",
        },
    ),
)
