"""`idnode prefix`: enterprise prefixes, applied for, reviewed, hosted or delegated, stopped."""

import argparse

from node.cli.forms import add_form_argument, read_json_file
from node.cli.objects import (
    Noun,
    add_if_version,
    add_noun,
    add_reason,
    reading_words,
    run_noun,
    send,
    step_body,
    step_words,
)
from node.cli.objectshow import Column
from node.cli.words import Word
from node.errors import Kind, RegistryError
from node.model.hosting import HostingAction
from node.model.site import IdentifierType
from node.model.stage import PrefixAction, Stage
from resolver.client import Client

_EPILOG = """\
examples, on the node's own machine:
  idnode prefix apply 88.118.8 e1
  idnode prefix begin-review 88.118.8
  idnode prefix approve 88.118.8          # it is sent to the top-level node, which grants it
  idnode prefix hosting 88.118.8 apply
  idnode prefix hosting 88.118.8 approve --host main
  idnode prefix activate 88.118.8
  idnode prefix stop 88.118.8 --reason "asked for by the enterprise"
"""

_A = PrefixAction


def _takes_prefix(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prefix", metavar="PREFIX", help="such as 88.118.8")


NOUN = Noun(
    "prefixes",
    _takes_prefix,
    lambda arguments: str(arguments.prefix),
    (
        Column("prefix", "value.prefix"),
        Column("enterprise", "enterprise"),
        Column("state", "state"),
        Column("status", "status"),
        Column("hosting", "hosting"),
        Column("reason", "value.reason"),
        Column("version", "version"),
        Column("changed at", "changed_at"),
    ),
    tuple(stage.value for stage in Stage),
    has_reasons=True,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    add_noun(parser, WORDS, _EPILOG)


def run(arguments: argparse.Namespace) -> int:
    """Carry it out and return 0.  Raises RegistryError for everything else."""
    return run_noun(arguments, WORDS, "sites")


def _takes_apply(parser: argparse.ArgumentParser) -> None:
    _takes_prefix(parser)
    parser.add_argument("enterprise", metavar="ENTERPRISE", help="the number of the enterprise")
    parser.add_argument(
        "--type", choices=[*IdentifierType], default=IdentifierType.VAA, help="default: vaa"
    )


def _takes_sites(parser: argparse.ArgumentParser) -> None:
    _takes_prefix(parser)
    add_form_argument(parser, "its sites: a list, or an object with `sites`")
    add_if_version(parser)


def _takes_hosting(parser: argparse.ArgumentParser) -> None:
    _takes_prefix(parser)
    parser.add_argument("action", metavar="ACTION", choices=[*HostingAction], help="what to do")
    parser.add_argument("--host", default="", help="which server hosts; to approve")
    parser.add_argument("--sites", metavar="FILE", help="where it goes; to end it")
    add_reason(parser)
    add_if_version(parser)


async def _apply(arguments: argparse.Namespace, client: Client) -> None:
    named = {"prefix": arguments.prefix, "enterprise": arguments.enterprise}
    body = {**named, "identifier_type": str(arguments.type)}
    await send(arguments, client, "POST", NOUN.root, body)


async def _sites(arguments: argparse.Namespace, client: Client) -> None:
    body = {"sites": _read_sites(arguments.file)}
    await send(arguments, client, "PUT", NOUN.path(arguments, "/sites"), body)


async def _hosting(arguments: argparse.Namespace, client: Client) -> None:
    body = step_body(arguments, str(arguments.action))
    body |= {"server": arguments.host} if arguments.host else {}
    body |= {"sites": _read_sites(arguments.sites)} if arguments.sites else {}
    await send(arguments, client, "POST", NOUN.path(arguments, "/hosting"), body)


def _read_sites(file: str) -> object:
    content = read_json_file(file)
    found = content.get("sites") if isinstance(content, dict) else content
    if not isinstance(found, list):
        sentence = f"{file} must hold a list of sites; `idnode prefix example` prints one."
        raise RegistryError(Kind.INVALID, sentence)
    return found


# In the order of a prefix's life.
WORDS = (
    *reading_words(NOUN),
    Word("apply", "apply for a prefix right below the node's own", _takes_apply, _apply),
    *step_words(
        NOUN,
        {
            _A.CORRECT: "hand an application in again after it was rejected or refused",
            _A.WITHDRAW: "withdraw an application",
            _A.BEGIN_REVIEW: "begin to review an application",
            _A.RETURN: "give a review back undecided",
            _A.APPROVE: "approve it here; then it goes to the top-level node",
            _A.REJECT: "reject it here; a reason is needed",
        },
    ),
    Word("sites", "delegate it to the enterprise's own servers", _takes_sites, _sites),
    Word("hosting", "take a step about hosting it here", _takes_hosting, _hosting),
    *step_words(
        NOUN,
        {
            _A.ACTIVATE: "have it resolve, once the top-level node has granted it",
            _A.STOP: "stop it: nothing below it resolves; a reason is needed",
            _A.MARK_FOR_DELETION: "mark it for deletion; a reason is needed",
            _A.RESTORE: "take that back",
            _A.REMOVE: "remove it for ever",
        },
    ),
)
