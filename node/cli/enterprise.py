"""`idnode enterprise`: enterprises apply, are verified by their real names, reviewed, disabled."""

import argparse

from node.cli.forms import add_form_argument, read_json_file
from node.cli.objects import (
    Noun,
    add_if_version,
    add_noun,
    reading_words,
    run_noun,
    send,
    step_body,
    step_words,
)
from node.cli.objectshow import Column
from node.cli.words import Word
from node.model.enterprise import EnterpriseAction, EnterpriseState
from resolver.client import Client

_EPILOG = """\
examples, on the node's own machine:
  idnode enterprise example > enterprise.json
  idnode enterprise apply enterprise.json --id e1
  idnode enterprise begin-review e1
  idnode enterprise reject e1 --reason "the licence cannot be read"
  idnode enterprise correct e1 enterprise.json
  idnode enterprise verify e1 verification.json
  idnode enterprise begin-review e1
  idnode enterprise approve e1
  idnode enterprise show e1
"""

_A = EnterpriseAction


def _takes_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the number of the enterprise")


NOUN = Noun(
    "enterprises",
    _takes_id,
    lambda arguments: str(arguments.id),
    (
        Column("id", "id"),
        Column("state", "state"),
        Column("name", "value.form.organisation.name"),
        Column("certificate", "value.form.organisation.certificate_number"),
        Column("contact", "value.form.organisation.contact.name"),
        Column("reason", "value.reason"),
        Column("version", "version"),
        Column("changed at", "changed_at"),
    ),
    tuple(state.value for state in EnterpriseState),
    has_owner=False,
    has_reasons=True,
    has_personal=True,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    add_noun(parser, WORDS, _EPILOG)


def run(arguments: argparse.Namespace) -> int:
    """Carry it out and return 0.  Raises RegistryError for everything else."""
    return run_noun(arguments, WORDS, "enterprise")


def _takes_apply(parser: argparse.ArgumentParser) -> None:
    add_form_argument(parser, "the form")
    parser.add_argument("--id", default="", help="its number here; made up when left out")


def _takes_form(parser: argparse.ArgumentParser) -> None:
    _takes_id(parser)
    add_form_argument(parser, "the form")
    add_if_version(parser)


async def _apply(arguments: argparse.Namespace, client: Client) -> None:
    query = (("id", arguments.id),) if arguments.id else ()
    form = read_json_file(arguments.file)
    await send(arguments, client, "POST", NOUN.root, form, query)


async def _correct(arguments: argparse.Namespace, client: Client) -> None:
    body = step_body(arguments, _A.CORRECT) | {"form": read_json_file(arguments.file)}
    await send(arguments, client, "POST", NOUN.path(arguments, "/steps"), body)


async def _verify(arguments: argparse.Namespace, client: Client) -> None:
    form = read_json_file(arguments.file)
    await send(arguments, client, "PUT", NOUN.path(arguments, "/verification"), form)


# In the order of an enterprise's life.
WORDS = (
    *reading_words(NOUN),
    Word("apply", "hand in the first form of an enterprise", _takes_apply, _apply),
    Word("correct", "hand in another form", _takes_form, _correct),
    Word("verify", "note the result of real-name verification", _takes_form, _verify),
    *step_words(
        NOUN,
        {
            _A.BEGIN_REVIEW: "begin to review its form",
            _A.RETURN: "give a review back undecided",
            _A.APPROVE: "approve it",
            _A.REJECT: "reject its form; a reason is needed",
            _A.DISABLE: "disable it: its prefixes stop resolving; a reason is needed",
            _A.ENABLE: "enable it again: its prefixes resolve again",
            _A.REOPEN: "have a disabled one reviewed as if it were new",
        },
    ),
)
