"""`idnode template`: metadata templates of enterprises and of the node itself, by name and version."""

import argparse

from node.cli.forms import add_form_argument, read_json_file
from node.cli.objects import (
    Noun,
    add_enterprise,
    add_if_version,
    add_noun,
    enterprise_query,
    reading_words,
    run_noun,
    send,
    step_words,
)
from node.cli.objectshow import Column
from node.cli.words import Word
from node.model.template import TemplateAction, TemplateState
from resolver.client import Client
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


def _takes_create(parser: argparse.ArgumentParser) -> None:
    add_form_argument(parser, "the template")
    add_enterprise(parser)


def _takes_change(parser: argparse.ArgumentParser) -> None:
    _takes_name(parser)
    add_form_argument(parser, "the template")
    add_if_version(parser)


async def _create(arguments: argparse.Namespace, client: Client) -> None:
    form, query = read_json_file(arguments.file), enterprise_query(arguments)
    await send(arguments, client, "POST", NOUN.root, form, query)


async def _change(arguments: argparse.Namespace, client: Client) -> None:
    await send(arguments, client, "PUT", NOUN.path(arguments), read_json_file(arguments.file))


# In the order of a template's life.
WORDS = (
    *reading_words(NOUN),
    Word("create", "create a version of a template, as a draft", _takes_create, _create),
    Word("change", "change a draft, or add to what was published", _takes_change, _change),
    *step_words(
        NOUN,
        {
            _A.PUBLISH: "publish it",
            _A.WITHDRAW: "withdraw it: nothing new is registered with it",
            _A.DELETE: "delete a draft, or a withdrawn one with which nothing was registered",
        },
    ),
)
