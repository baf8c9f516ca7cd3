"""The open loop: questions at a fixed rate, each with its due moment, whatever became of those before it.

A closed loop (`generator_udp`, `streams`) asks when it was answered, so a server that pauses is simply asked less, and
the pause is one bad latency.  Here each question that came due in the pause waits, and its waiting counts: that is what
callers of a real node see, who do not wait for each other.  See `loadtest.plan` for what is counted how.

Every answer is compared byte for byte, as the other generators do.  It dozes when there is nothing to do.
"""

from collections.abc import Mapping, Sequence

from loadtest.exchange import Exchange
from loadtest.openloop_http import OpenHttp
from loadtest.openloop_tcp import OpenTcp
from loadtest.openloop_udp import OpenUdp
from loadtest.plan import LOST_SECONDS, Plan
from loadtest.run import Prepared

TRANSPORTS: Mapping[str, type[OpenUdp | OpenTcp | OpenHttp]] = {
    "udp": OpenUdp,
    "tcp": OpenTcp,
    "http": OpenHttp,
}
CONNECTIONS = 16


def prepare_open(
    address: tuple[str, int],
    exchanges: Sequence[Exchange],
    *,
    transport: str,
    rate: float,
    seconds: float,
    warm_seconds: float = 1.0,
    connections: int = CONNECTIONS,
    patience: float = LOST_SECONDS,
) -> Prepared:
    """Return a run over the exchanges, round and round, `rate` questions a second for `warm_seconds` and `seconds`.

    `transport` is udp, tcp (native messages, several under way on each connection) or http (one under way on each;
    who finds none free waits, and that counts).  `connections` are sockets, over UDP source ports.  What has no
    answer after `patience` seconds is lost.
    Raises KeyError for another transport; ValueError when nothing would be asked; OSError when nobody listens.
    """
    plan = Plan(rate, seconds, warm_seconds, patience)
    return TRANSPORTS[transport](address, exchanges, plan, connections).run
