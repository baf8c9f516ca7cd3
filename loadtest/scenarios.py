"""The rows of the table: warm memory, warm Redis, cold Postgres, and the baselines, measured in turns in one run."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from loadtest.baselines.echo import BODY
from loadtest.exchange import Exchange, echo_exchange, http_exchange
from loadtest.figures import Measured, Scenario
from loadtest.generator_http import prepare_http
from loadtest.generator_tcp import PIPELINED, prepare_tcp
from loadtest.generator_udp import prepare_udp
from loadtest.learn import (
    Sample,
    draw,
    fits_datagram,
    is_handle,
    is_plain_path,
    learn_http,
    learn_native,
    relearn_http,
)
from loadtest.run import Prepared
from loadtest.stand import Node, Stand, Subject, answers_by_tier, flush_redis

FLUSHED_SECONDS = 1.5  # until a worker has marked an emptied Redis as trustworthy again
PLAIN_KEYS = 10_000  # the plain route is slow: learning its answers takes its time
NO_MEMORY = {"HOT_ENTRIES": "0", "MEMORY_ENTRIES": "0"}


class Ask(Protocol):
    """A generator with its target and its questions: `prepare_udp` and its siblings, but for the extent of the run."""

    def __call__(self, *, seconds: float = ..., once: bool = ...) -> Prepared:
        """Prepare a run; see `prepare_udp`."""
        ...


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is asked: lines of the corpus, keys of the samples, answers weighed, seconds a run, runs a scenario."""

    records: int
    native_keys: int
    http_keys: int
    answers: int
    seconds: float
    repeats: int


@dataclass(frozen=True, slots=True)
class Questions:
    """What a node is asked: over UDP only what is answered in one datagram, over HTTP only plain paths."""

    native: list[Exchange]
    udp: list[Exchange]
    http: list[Exchange]
    notes: tuple[str, ...]


def learn(node: Node, corpus: Path, extent: Extent) -> Questions:
    """Draw samples of a loaded corpus and learn the answers."""
    sample = draw(corpus, extent.native_keys)
    native = learn_native(node.native, sample)
    short = Sample(sample.records[: extent.http_keys])
    http = learn_http(node.http, short)
    udp, plain = list(filter(fits_datagram, native)), list(filter(is_plain_path, http))
    notes = (
        f"Not asked over UDP: {len(native) - len(udp)} of {len(native)} records, answered in several datagrams.",
        f"Not asked over HTTP: {len(http) - len(plain)} of {len(http)} handles, which need percent-encoding.",
    )
    return Questions(native, udp, plain, notes)


def roomy(keys: int) -> Mapping[str, str]:
    """Return settings under which so many answers of each kind stay in memory (two generations, so twice the room)."""
    return {"HOT_ENTRIES": str(4 * keys), "MEMORY_ENTRIES": str(4 * keys)}


def database_of(redis_url: str, number: int) -> str:
    """Return the URL of another database on the same Redis, so that two users of it do not meet."""
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}?db={number}"
    return urlunsplit(parts._replace(path=f"/{number}"))


def empty_redis(url: str) -> None:
    """Empty a Redis, and wait until the workers trust it again."""
    flush_redis(url)
    time.sleep(FLUSHED_SECONDS)


class Table:
    """Makes the scenarios of one stand; `prepare` warms them, too."""

    def __init__(self, stand: Stand, extent: Extent, node: Node, asked: Questions) -> None:
        self._stand, self._extent, self._node, self._asked = stand, extent, node, asked
        self._tiers_met: dict[str, Counter[str]] = {}

    def notes(self) -> list[str]:
        """Say of each row about the node what tiers its answers came from, as the node counted them itself."""
        return [
            f"{title}: "
            + ", ".join(
                f"{count / tiers.total():.1%} from {tier}" for tier, count in tiers.most_common()
            )
            for title, tiers in self._tiers_met.items()
            if tiers
        ]

    def prepare(self) -> list[Scenario]:
        """Start the baselines and a second node without memory, warm all, and return the rows."""
        return [*self._warm(), *self._tiers(), *self._plain(), *self._echo()]

    def _warm(self) -> list[Scenario]:
        node, asked, subject = self._node, self._asked, self._node.subject()
        udp = partial(prepare_udp, node.native, asked.udp)
        tcp = partial(prepare_tcp, node.native, asked.native)
        http = partial(prepare_http, node.http, asked.http)
        for ask in (udp, tcp, http):
            ask(once=True)()
        pipelined = partial(prepare_tcp, node.native, asked.native, depth=PIPELINED)
        return [
            self._row("udp-warm", "UDP, memory", subject, udp),
            self._row("tcp-warm", "TCP kept open, memory", subject, tcp),
            self._row("tcp-pipelined", f"TCP, {PIPELINED} pipelined, memory", subject, pipelined),
            self._row("http-warm", "HTTP, memory", subject, http),
        ]

    def _tiers(self) -> list[Scenario]:
        settings = self._node.settings
        redis_url = database_of(settings.redis_url, 1)
        stores = {"DATABASE_URL": settings.database_url, "REDIS_URL": redis_url}
        bare = self._stand.start_node("bare", {**stores, **NO_MEMORY})
        subject = bare.subject(stores_of=self._node)

        asks: dict[str, Ask] = {
            "udp": partial(prepare_udp, bare.native, self._asked.udp),
            "http": partial(prepare_http, bare.http, self._asked.http),
        }
        rows = []
        for name, ask in asks.items():
            title = name.upper()
            cold = self._row(
                f"{name}-postgres",
                f"{title}, Postgres, each key once",
                subject,
                ask,
                before=partial(empty_redis, redis_url),
                once=True,
            )
            warm = self._row(
                f"{name}-redis", f"{title}, Redis", subject, ask, before=_all_once(ask)
            )
            rows += [cold, warm]
        return rows

    def _plain(self) -> list[Scenario]:
        redis_url = database_of(self._node.settings.redis_url, 2)
        sample = list(filter(is_handle, self._asked.http))[:PLAIN_KEYS]
        rows = []
        for name, title, options in (
            ("plain-redis", "plain FastAPI route, Redis", ()),
            ("plain-memory", "plain FastAPI route, dictionary", ("--memory",)),
        ):
            subject, address = self._stand.start_plain(name, self._node, redis_url, *options)
            ask = partial(prepare_http, address, relearn_http(address, sample))
            rows.append(self._row(name, title, subject, ask))
        return rows

    def _echo(self) -> list[Scenario]:
        subject, at = self._stand.start_echo()
        native = [echo_exchange(exchange.request) for exchange in self._asked.native]
        http = [http_exchange(exchange.request, BODY) for exchange in self._asked.http]
        pipelined = partial(prepare_tcp, at["tcp"], native, depth=PIPELINED)
        return [
            self._row(
                "echo-udp",
                "bare uvloop echo, UDP",
                subject,
                partial(prepare_udp, at["udp"], native),
            ),
            self._row(
                "echo-tcp",
                "bare uvloop echo, TCP",
                subject,
                partial(prepare_tcp, at["tcp"], native),
            ),
            self._row(
                "echo-pipelined",
                f"bare uvloop echo, TCP, {PIPELINED} pipelined",
                subject,
                pipelined,
            ),
            self._row(
                "echo-http",
                "bare uvloop fixed answer, HTTP",
                subject,
                partial(prepare_http, at["http"], http),
            ),
        ]

    def _row(
        self,
        name: str,
        title: str,
        subject: Subject,
        ask: Ask,
        *,
        before: Callable[[], object] | None = None,
        once: bool = False,
    ) -> Scenario:
        def measure() -> Measured:
            if before:
                before()
            counted = answers_by_tier(subject.admin) if subject.admin else Counter()
            measured = self._stand.measure(
                subject, lambda: ask(seconds=self._extent.seconds, once=once)
            )
            if subject.admin:
                met = answers_by_tier(subject.admin) - counted
                self._tiers_met[title] = self._tiers_met.get(title, Counter()) + met
            return measured

        return Scenario(name, title, measure)


def _all_once(ask: Ask) -> Callable[[], object]:
    return lambda: ask(once=True)()
