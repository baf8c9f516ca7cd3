"""Words: what stands behind a verb that asks a server: `idnode record get`, `idnode enterprise list`."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

from node.cli.access import add_access_arguments, client_for, refusal
from node.cli.output import add_output_argument
from node.errors import Kind, RegistryError
from resolver.client import Client, ClientError

Act = Callable[[argparse.Namespace, Client], Awaitable[None]]


class Word(NamedTuple):
    """A word behind a verb: what it is for, which arguments it takes, and what it does."""

    name: str
    purpose: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    act: Act


Below: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_words(parser: argparse.ArgumentParser, words: Sequence[Word], epilog: str) -> Below:
    """Add the words to the parser of their verb, each with the options of output and access.

    Returns what further words, which ask nobody, can be added to.
    """
    parser.epilog = epilog
    below = parser.add_subparsers(dest="word", metavar="WORD", title="words", required=True)
    for word in words:
        each = below.add_parser(
            word.name,
            help=word.purpose,
            description=f"{word.purpose[0].upper()}{word.purpose[1:]}.",
        )
        word.add_arguments(each)
        add_output_argument(each)
        add_access_arguments(each)
    return below


def run_word(arguments: argparse.Namespace, words: Sequence[Word]) -> int:
    """Carry out the word that was given and return 0.  Raises RegistryError for everything else."""
    word = next(word for word in words if word.name == arguments.word)
    client = client_for(arguments)
    try:
        asyncio.run(_run(word, arguments, client))
    except ClientError as error:
        raise refusal(error) from error
    except UnicodeEncodeError as error:
        raise RegistryError(Kind.INVALID, f"an argument is not valid UTF-8: {error}") from error
    return 0


async def _run(word: Word, arguments: argparse.Namespace, client: Client) -> None:
    async with client:
        await word.act(arguments, client)
