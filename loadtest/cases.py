"""Cases: what one row of the capacity table asks whom, closed loop and open; and the nodes that the rows need.

Nodes are started when a row first needs them, on the stores of the first one, and differ from it in one thing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import inf

from loadtest.baselines.echo import BODY
from loadtest.ceiling import CONNECTIONS, WARM_SECONDS
from loadtest.exchange import Exchange, echo_exchange, http_exchange
from loadtest.generator_http import prepare_http
from loadtest.generator_pieces import prepare_pieces
from loadtest.generator_tcp import prepare_tcp
from loadtest.generator_tls import prepare_tls
from loadtest.generator_udp import prepare_udp
from loadtest.learn import fits_datagram, is_handle, learn_http, learn_native, relearn_http
from loadtest.openloop import TRANSPORTS, prepare_open
from loadtest.run import Prepared
from loadtest.scenarios import (
    NO_MEMORY,
    PLAIN_KEYS,
    Extent,
    Questions,
    database_of,
    empty_redis,
    learn,
    roomy,
)
from loadtest.sized import SIZES, sized_records, write_records
from loadtest.sizes import load_corpus, make_corpus
from loadtest.stand import Node, Stand, Subject
from loadtest.streams import Address

SOCKETS = 8  # source ports over UDP to several workers, over which the kernel spreads them
_CLOSED: dict[str, Callable[..., Prepared]] = {
    "udp": prepare_udp,
    "tcp": prepare_tcp,
    "http": prepare_http,
    "https": prepare_tls,
    "pieces": prepare_pieces,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One row: its name and title, whom it asks what by which transport, and what is done before each run.

    `node` is the node that is asked, None for a baseline.  With `is_once` each question is asked once a run.
    """

    name: str
    title: str
    subject: Subject
    transport: str
    address: Address
    exchanges: Sequence[Exchange]
    node: Node | None = None
    before: Callable[[], object] | None = None
    is_once: bool = False

    @property
    def has_open_loop(self) -> bool:
        """True when it can be asked at a fixed rate for long."""
        return self.transport in TRANSPORTS and not self.is_once

    def closed(self, seconds: float = inf, *, once: bool = False) -> Prepared:
        """Prepare a closed loop."""
        is_spread = self.transport == "udp" and self.subject.siblings
        more = {"sockets": SOCKETS} if is_spread else {}
        return _CLOSED[self.transport](
            self.address, self.exchanges, seconds=seconds, once=once, **more
        )

    def open(self, rate: float, seconds: float) -> Prepared:
        """Prepare an open loop."""
        is_spread = self.transport == "udp" and self.subject.siblings
        return prepare_open(
            self.address,
            self.exchanges,
            transport=self.transport,
            rate=rate,
            seconds=seconds,
            warm_seconds=WARM_SECONDS,
            connections=SOCKETS if is_spread else CONNECTIONS[self.transport],
        )


class Cases:
    """Makes the cases of one stand."""

    def __init__(self, stand: Stand, extent: Extent) -> None:
        self._stand, self._extent = stand, extent

    def find(self, name: str) -> Case:
        """Return a case by its name, which is one of NAMES."""
        group, _, what = name.partition("/")
        return _GROUPS[group](self, name, what)

    @cached_property
    def _first(self) -> Node:
        return self._stand.start_node("first", roomy(self._extent.native_keys))

    @cached_property
    def _asked(self) -> Questions:
        corpus = make_corpus(self._stand.directory, self._extent.records)
        load_corpus(self._first, corpus, self._extent.records)
        return learn(self._first, corpus, self._extent)

    @cached_property
    def _bare(self) -> Node:
        return self._second("bare", {**NO_MEMORY, "REDIS_URL": self._database(1)})

    @cached_property
    def _pair(self) -> Node:
        return self._second("pair", {"WORKERS": "2", **roomy(self._extent.native_keys)})

    @cached_property
    def _uncounted(self) -> Node:
        return self._second("uncounted", {"LEDGER": "false", **roomy(self._extent.native_keys)})

    @cached_property
    def _secure(self) -> Node:
        room = roomy(self._extent.native_keys)
        return self._second("secure", {"TLS_CERTIFICATE": "self-signed", **room})

    def _database(self, number: int) -> str:
        return database_of(self._first.settings.redis_url, number)

    def _second(self, name: str, settings: dict[str, str]) -> Node:
        """Start another node on the stores of the first."""
        ours = self._first.settings
        stores = {"DATABASE_URL": ours.database_url, "REDIS_URL": ours.redis_url}
        return self._stand.start_node(name, {**stores, **settings})

    def _of(
        self,
        name: str,
        title: str,
        node: Node,
        transport: str,
        exchanges: Sequence[Exchange] | None = None,
    ) -> Case:
        stores = None if node is self._first else self._first
        asked = {"udp": self._asked.udp, "tcp": self._asked.native}.get(transport, self._asked.http)
        address = node.http if transport.startswith("http") else node.native
        given = asked if exchanges is None else exchanges
        return Case(
            name, title, node.subject(stores_of=stores), transport, address, given, node=node
        )

    def memory(self, name: str, transport: str) -> Case:
        """From the memory of one worker."""
        _ = self._asked
        return self._of(name, f"{transport.upper()}, memory", self._first, transport)

    def pair(self, name: str, transport: str) -> Case:
        """From the memory of two workers, which share the machine with the generator."""
        _ = self._asked
        return self._of(name, f"{transport.upper()}, memory, 2 workers", self._pair, transport)

    def redis(self, name: str, transport: str) -> Case:
        """From Redis: the worker keeps nothing."""
        _ = self._asked
        case = self._of(name, f"{transport.upper()}, Redis", self._bare, transport)
        return replace(case, before=lambda: case.closed(once=True)())

    def postgres(self, name: str, transport: str) -> Case:
        """From Postgres: the worker keeps nothing, and Redis is emptied before."""
        _ = self._asked
        case = self._of(name, f"{transport.upper()}, Postgres", self._bare, transport)
        return replace(case, before=partial(empty_redis, self._database(1)), is_once=True)

    def size(self, name: str, what: str) -> Case:
        """Answers of a known size."""
        _ = self._asked
        size, _, transport = what.partition("-")
        records = sized_records(size, SIZES[size], min(1_000, self._extent.http_keys))
        path = self._stand.directory / f"sized-{size}.ndjson"
        sample = write_records(path, records)
        load_corpus(self._first, path, len(records), waiting_for=sample.handles[0])
        is_native = transport != "http"
        learnt = (learn_native if is_native else learn_http)(
            self._first.native if is_native else self._first.http, sample
        )
        way = "UDP, several datagrams" if transport == "pieces" else transport.upper()
        title = f"{way}, answer of {SIZES[size]:,} B" + ("" if is_native else " natively")
        return self._of(name, title, self._first, transport, learnt)

    def tls(self, name: str, transport: str) -> Case:
        """The same over TLS."""
        _ = self._asked
        return self._of(name, "HTTPS, memory, connections kept open", self._secure, transport)

    def uncounted(self, name: str, transport: str) -> Case:
        """Without the audit ledger."""
        _ = self._asked
        return self._of(name, f"{transport.upper()}, memory, no ledger", self._uncounted, transport)

    def plain(self, name: str, what: str) -> Case:
        """What a user would write instead: FastAPI, Redis, Postgres."""
        sample = list(filter(is_handle, self._asked.http))[:PLAIN_KEYS]
        options = ("--memory",) if what == "memory" else ()
        number = self._database(3 if options else 2)
        subject, address = self._stand.start_plain(f"plain-{what}", self._first, number, *options)
        exchanges = relearn_http(address, sample)
        title = f"plain FastAPI service, {'a dictionary in front of Redis' if options else 'Redis'}"
        return Case(name, title, subject, "http", address, exchanges)

    def echo(self, name: str, transport: str) -> Case:
        """A bare loop that sends back what came."""
        subject, at = self._echo
        if transport == "http":
            exchanges = [http_exchange(each.request, BODY) for each in self._asked.http]
        else:
            chosen = filter(fits_datagram, self._asked.native)
            exchanges = [echo_exchange(each.request) for each in chosen]
        title = f"bare uvloop echo, {transport.upper()}"
        return Case(name, title, subject, transport, at[transport], exchanges)

    @cached_property
    def _echo(self) -> tuple[Subject, dict[str, Address]]:
        return self._stand.start_echo()


_GROUPS: dict[str, Callable[[Cases, str, str], Case]] = {
    "memory": Cases.memory,
    "2-workers": Cases.pair,
    "redis": Cases.redis,
    "postgres": Cases.postgres,
    "size": Cases.size,
    "tls": Cases.tls,
    "no-ledger": Cases.uncounted,
    "plain": Cases.plain,
    "echo": Cases.echo,
}
NAMES = (
    *(f"memory/{each}" for each in TRANSPORTS),
    *(f"2-workers/{each}" for each in TRANSPORTS),
    *("redis/udp", "redis/http", "postgres/udp", "postgres/http"),
    *("size/small-udp", "size/datagram-udp", "size/pieces-pieces"),
    *("size/small-tcp", "size/4k-tcp", "size/small-http", "size/4k-http"),
    "tls/https",
    *(f"no-ledger/{each}" for each in TRANSPORTS),
    *("plain/redis", "plain/memory"),
    *(f"echo/{each}" for each in TRANSPORTS),
)
