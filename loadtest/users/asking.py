"""Asking: what all locustfiles share: the options of the command line, and users that report what they were answered.

An answer that is not the right one is a failure in locust's table, with what is wrong with it.
"""

import os
import time
from abc import abstractmethod
from argparse import Namespace
from collections.abc import Callable
from typing import ClassVar
from urllib.parse import urlsplit

from locust import FastHttpUser, User, constant, events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtest.users.connections import (
    Address,
    HttpStream,
    NativeDatagrams,
    NativeStream,
    RequestPacker,
    campaign_headers,
    handle_path,
)
from loadtest.users.questions import SAMPLE_RECORDS, UNKNOWN_SHARE, Question, Questions
from loadtest.users.verdicts import Verdicts
from resolver.wire import WireError

NATIVE_PORT = 2641
HTTP_PORT = 8000
TURN = 20

Asked = Callable[[], tuple[int, str]]
"""Asks; returns the length of the answer and what is wrong with it, "" when nothing is."""


class WrongAnswer(Exception):
    """The answer is not the right one; the message says in what."""


def add_options(parser: LocustArgumentParser) -> None:
    """Add our options to locust's."""
    parser.add_argument(
        "--native", default="", metavar="HOST:PORT",
        help="where the Handle protocol is answered; by default port 2641 of --host",
    )  # fmt: skip
    parser.add_argument(
        "--records", type=int, default=SAMPLE_RECORDS,
        help="lines of the corpus that the node has (seed 1); those of `make run` by default",
    )  # fmt: skip
    parser.add_argument(
        "--unknown", type=float, default=UNKNOWN_SHARE, metavar="SHARE",
        help="how much is asked for identifiers that nobody registered",
    )  # fmt: skip
    parser.add_argument(
        "--echo", action="store_true", help="the server is loadtest.baselines.echo, not a node"
    )  # fmt: skip
    parser.add_argument(
        "--campaign-token", default="", env_var="LOCUST_CAMPAIGN_TOKEN", include_in_web_ui=False,
        help="token of an announced load test; goes with every HTTP request",
    )  # fmt: skip
    parser.add_argument(
        "--api-token", default="", env_var="LOCUST_API_TOKEN", include_in_web_ui=False,
        help="token that may write; registration needs it",
    )  # fmt: skip
    parser.add_argument("--prefix", default="88.118.8", help="prefix below which records are made")


events.init_command_line_parser.add_listener(add_options)


def http_address(host: str | None) -> Address:
    """Return where --host is.  Raises ValueError when it is no http URL."""
    parts = urlsplit(host or f"http://127.0.0.1:{HTTP_PORT}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(
            f"--host is {host!r}; a raw socket needs one such as http://127.0.0.1:8000"
        )
    return parts.hostname, parts.port or 80


def native_address(options: Namespace) -> Address:
    """Return where --native is; by default the port of the Handle protocol on the machine of --host."""
    if not options.native:
        return urlsplit(options.host or "http://127.0.0.1").hostname or "127.0.0.1", NATIVE_PORT
    host, _, port = str(options.native).rpartition(":")
    return host.strip("[]"), int(port)


_verdicts: dict[bool, Verdicts] = {}


def verdicts(options: Namespace) -> Verdicts:
    """Return what all users of this process judge by: what one found right, the others need not look at closely."""
    is_echo = bool(options.echo)
    return _verdicts.setdefault(is_echo, Verdicts(is_echo=is_echo))


class Asker(User):
    """Asks one question after the other, by whatever way its children have."""

    abstract = True
    kind: ClassVar[str] = ""  # its column in locust's table

    wait_time = constant(0)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.options = options_of(environment)
        self.questions = questions_of(self.options)
        self.verdicts = verdicts(self.options)

    @abstractmethod
    def ask(self, question: Question) -> tuple[int, str]:
        """Ask; return the length of the answer, and what is wrong with it.  Raises OSError, WireError, ValueError."""

    @abstractmethod
    def let_go(self) -> None:
        """Let go of a connection that broke, or is no longer needed."""

    def ask_turn(self) -> None:
        """Ask some questions, one after the other: locust's own work between two tasks costs as much as one."""
        for _ in range(TURN):
            self.ask_and_report()

    def ask_and_report(self) -> None:
        """Ask the next question, and have locust count it."""
        question = self.questions.draw()
        began, clock = time.time(), time.perf_counter()
        failure: Exception | None = None
        length = 0
        try:
            length, fault = self.ask(question)
            failure = WrongAnswer(fault) if fault else None
        except (OSError, WireError, ValueError) as broken:
            failure = broken
            self.let_go()
        self.environment.events.request.fire(
            request_type=self.kind,
            name=question.name,
            start_time=began,
            response_time=1000 * (time.perf_counter() - clock),
            response_length=length,
            exception=failure,
            context={},
        )

    def on_stop(self) -> None:
        """Close what is open."""
        self.let_go()


class FastAsker(FastHttpUser):
    """Asks over HTTP with locust's own fast client."""

    abstract = True
    wait_time = constant(0)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.options = options_of(environment)
        self.questions = questions_of(self.options)
        self.verdicts = verdicts(self.options)
        self.headers = campaign_headers(self.options.campaign_token)

    def ask_and_report(self) -> None:
        """Ask the next question, and have locust count it."""
        question = self.questions.draw()
        with self.client.get(
            handle_path(question.handle),
            name=question.name,
            headers=self.headers,
            catch_response=True,
        ) as answer:
            if not answer.status_code:
                return  # it broke, and locust knows
            fault = self.verdicts.http(question, answer.status_code, answer.content or b"")
            if fault:
                answer.failure(WrongAnswer(fault))
            else:
                answer.success()


class RawAsker(Asker):
    """Asks over HTTP on a kept-open socket, without a client library: four times as fast."""

    abstract = True
    kind = "HTTP"

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        headers = campaign_headers(self.options.campaign_token)
        self._stream = HttpStream(http_address(self.host), headers)

    def ask(self, question: Question) -> tuple[int, str]:
        """Ask over HTTP."""
        status, body = self._stream.get(handle_path(question.handle))
        return len(body), self.verdicts.http(question, status, body)

    def let_go(self) -> None:
        """Close the socket."""
        self._stream.let_go()


class NativeAsker(Asker):
    """Asks in the Handle protocol; requests and answers go through the node's codec."""

    abstract = True
    way: ClassVar[type[NativeStream | NativeDatagrams]]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._way = self.way(native_address(self.options))
        self._packer = RequestPacker(int.from_bytes(os.urandom(4), "big"))

    def ask(self, question: Question) -> tuple[int, str]:
        """Ask natively."""
        request = self._packer.pack(question.handle)
        answer = self._way.ask(request)
        return len(answer), self.verdicts.native(question, request, answer)

    def let_go(self) -> None:
        """Close the socket; a datagram's stays."""
        self._way.let_go()


def options_of(environment: Environment) -> Namespace:
    """Return the options of the command line.  Raises ValueError when locust has none (it runs as a library)."""
    options = environment.parsed_options
    if not isinstance(options, Namespace):
        raise ValueError("users need the options of the command line: run locust as a program")
    return options


def questions_of(options: Namespace) -> Questions:
    """Return the questions of one user, which nobody else has in this order."""
    return Questions(int.from_bytes(os.urandom(4), "big"), options.records, options.unknown)
