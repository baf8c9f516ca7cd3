"""What `idnode enterprise` and its neighbours share: words that list, show, hand in and step objects of the model."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from node.cli.forms import add_form_argument, read_json_file
from node.cli.objectshow import Column, show_object, show_objects, show_step, show_steps
from node.cli.words import Word, add_words, run_word
from node.web.examples import example_text
from resolver.client import Client
from resolver.client.exchange import path_of

MAX_PAGE, USUAL_PAGE = 1_000, 100
EXAMPLE = "example"
EXIT_CODES = """\
exit codes:
  0  done
  2  wrong use, or a form that breaks a rule
  3  there is no such object
  4  its state does not allow this step, the name is taken, or it has changed (--if-version)
  5  not allowed, or the login was not accepted, or it is somebody else's step
  7  no answer, or the server is busy or at fault
"""

Takes = Callable[[argparse.ArgumentParser], None]
KeyOf = Callable[[argparse.Namespace], str]


class Noun(NamedTuple):
    """A kind of object on the command line: its plural, whose arguments name one, and how a list of them looks."""

    plural: str
    takes_key: Takes
    key_of: KeyOf
    columns: Sequence[Column]
    states: Sequence[str] = ()
    has_owner: bool = True
    has_reasons: bool = False
    has_personal: bool = False

    @property
    def root(self) -> str:
        """The path of the list."""
        return f"/v1/{self.plural}"

    def path(self, arguments: argparse.Namespace, below: str = "") -> str:
        """Return the path of the object that the arguments name, and of what is below it."""
        return path_of(self.root, self.key_of(arguments)) + below


def reading_words(noun: Noun) -> tuple[Word, ...]:
    """Return the words that change nothing."""
    return (
        Word("list", f"list {noun.plural}", partial(_takes_list, noun), partial(_list, noun)),
        Word("show", "show one, as it stands", partial(_takes_show, noun), partial(_show, noun)),
        Word(
            "history",
            "list what was done to it, by whom and why",
            partial(_takes_pages, noun),
            partial(_history, noun),
        ),
    )


def add_noun(parser: argparse.ArgumentParser, words: Sequence[Word], epilog: str) -> None:
    """Add the words of a verb, and the one that prints a form to begin with."""
    below = add_words(parser, words, f"{epilog}\n{EXIT_CODES}")
    purpose = "print a complete form, filled in, to begin with; it asks no node"
    below.add_parser(EXAMPLE, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")


def run_noun(arguments: argparse.Namespace, words: Sequence[Word], example: str) -> int:
    """Carry out the word that was given and return 0.  Raises RegistryError."""
    if arguments.word == EXAMPLE:
        print(example_text(example), end="")
        return 0
    return run_word(arguments, words)


def step_words(noun: Noun, purposes: Mapping[StrEnum, str]) -> tuple[Word, ...]:
    """Return a word for each action, `begin_review` as `begin-review`."""
    return tuple(
        Word(
            action.value.replace("_", "-"),
            purpose,
            partial(_takes_step, noun),
            partial(_step, noun, action),
        )
        for action, purpose in purposes.items()
    )


def form_words(noun: Noun, create: tuple[str, str], change: str) -> tuple[Word, Word]:
    """Return the words that hand in the form of an object: `create` (the word and its purpose), and `change`."""
    what = f"the {noun.plural.removesuffix('s')}"
    return (
        Word(*create, partial(_takes_new, what), partial(_create, noun)),
        Word("change", change, partial(_takes_change, noun, what), partial(_change, noun)),
    )


def add_reason(parser: argparse.ArgumentParser) -> None:
    """Add the option that says why."""
    parser.add_argument("--reason", default="", help="why, in words that can be acted on")


def step_body(arguments: argparse.Namespace, action: str) -> dict[str, object]:
    """Return the body of a step, with the reason if there is one."""
    reason = getattr(arguments, "reason", "")
    return {"action": action} | ({"reason": reason} if reason else {})


async def send(
    arguments: argparse.Namespace,
    client: Client,
    method: str,
    path: str,
    body: object,
    query: tuple[tuple[str, str], ...] = (),
) -> None:
    """Hand something in, and print where the object stands now."""
    version: int | None = getattr(arguments, "if_version", None)
    done = await client.document(method, path, query=query, body=body, if_version=version)
    show_step(done.content, arguments.output)


async def show_one(arguments: argparse.Namespace, client: Client, path: str) -> None:
    """Print an object, with its personal data if that is asked for."""
    query = (("personal", "true"),) if getattr(arguments, "personal", False) else ()
    found = await client.document("GET", path, query=query)
    show_object(found.content, arguments.output)


def add_if_version(parser: argparse.ArgumentParser) -> None:
    """Add the option of a write that depends on a version."""
    parser.add_argument(
        "--if-version", type=positive, metavar="N", help="only while it is at this version"
    )


def add_personal(parser: argparse.ArgumentParser) -> None:
    """Add the option that shows personal data."""
    parser.add_argument(
        "--personal", action="store_true", help="personal data, too; the node's log says who asked"
    )


def add_enterprise(parser: argparse.ArgumentParser) -> None:
    """Add the option that says whose an object is."""
    parser.add_argument(
        "--enterprise", default="", metavar="ID", help="whose; the node's own when left out"
    )


def positive(text: str) -> int:
    """Return a number from 1 on, as an argument."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**31):
        raise argparse.ArgumentTypeError("must be a number from 1 to 2147483647")
    return int(text)


async def _step(noun: Noun, action: StrEnum, arguments: argparse.Namespace, client: Client) -> None:
    body = step_body(arguments, action.value)
    await send(arguments, client, "POST", noun.path(arguments, "/steps"), body)


async def _create(noun: Noun, arguments: argparse.Namespace, client: Client) -> None:
    query = (("enterprise", arguments.enterprise),) if arguments.enterprise else ()
    await send(arguments, client, "POST", noun.root, read_json_file(arguments.file), query)


async def _change(noun: Noun, arguments: argparse.Namespace, client: Client) -> None:
    await send(arguments, client, "PUT", noun.path(arguments), read_json_file(arguments.file))


async def _list(noun: Noun, arguments: argparse.Namespace, client: Client) -> None:
    given = {name: getattr(arguments, name, None) for name in ("state", "enterprise", "after")}
    query = tuple((name, text) for name, text in given.items() if text is not None)
    query += (("limit", str(min(arguments.limit, MAX_PAGE))),)
    found = await client.document("GET", noun.root, query=query)
    show_objects(found.content, noun.plural, noun.columns, arguments.output)


async def _show(noun: Noun, arguments: argparse.Namespace, client: Client) -> None:
    await show_one(arguments, client, noun.path(arguments))


async def _history(noun: Noun, arguments: argparse.Namespace, client: Client) -> None:
    query = (("limit", str(min(arguments.limit, MAX_PAGE))),)
    query += (("after", arguments.after),) if arguments.after else ()
    found = await client.document("GET", noun.path(arguments, "/history"), query=query)
    show_steps(found.content, arguments.output)


def _takes_new(what: str, parser: argparse.ArgumentParser) -> None:
    add_form_argument(parser, what)
    add_enterprise(parser)


def _takes_change(noun: Noun, what: str, parser: argparse.ArgumentParser) -> None:
    noun.takes_key(parser)
    add_form_argument(parser, what)
    add_if_version(parser)


def _takes_list(noun: Noun, parser: argparse.ArgumentParser) -> None:
    if noun.states:
        parser.add_argument("--state", choices=noun.states, help="those in this state")
    if noun.has_owner:
        parser.add_argument("--enterprise", metavar="ID", help="those of this enterprise")
    _add_pages(parser)


def _takes_show(noun: Noun, parser: argparse.ArgumentParser) -> None:
    noun.takes_key(parser)
    if noun.has_personal:
        add_personal(parser)


def _takes_pages(noun: Noun, parser: argparse.ArgumentParser) -> None:
    noun.takes_key(parser)
    _add_pages(parser)


def _takes_step(noun: Noun, parser: argparse.ArgumentParser) -> None:
    noun.takes_key(parser)
    if noun.has_reasons:
        add_reason(parser)
    add_if_version(parser)


def _add_pages(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--after", help="what comes after where the last list ended")
    parser.add_argument(
        "--limit", type=positive, default=USUAL_PAGE, help=f"so many at most, up to {MAX_PAGE}"
    )
