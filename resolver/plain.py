"""Plain: the answer to a stranger's plain GET of a record that no ready reply is there for, past the framework.

Law: it is what the ordinary way answers, header for header, as a ready reply is; what is neither found, nor unknown,
nor busy, is left to the ordinary way.
"""

from typing import NamedTuple

from resolver.answer import Status, Tier
from resolver.hot.http import HotHttp
from resolver.observe import Protocol, cell
from resolver.render import json_answer
from resolver.service import Resolver


class PlainAnswer(NamedTuple):
    """A whole HTTP response, where it is counted, and the canonical key that it is about."""

    response: bytes
    cell: int
    key: bytes


class PlainReads:
    """Answers plain GETs of one worker, and keeps the answers ready."""

    def __init__(self, service: Resolver, hot: HotHttp) -> None:
        self._service = service
        self._hot = hot

    async def read(self, path: bytes) -> PlainAnswer | None:
        """Return the answer to a GET of `/api/handles/` and this path, which needs no decoding; None: ask elsewhere."""
        hot = self._hot
        era = hot.era
        found = await self._service.find(path)
        if found is None:
            return None
        (key, scheme, _), answer = found
        status, body = json_answer(answer, path.decode())
        counted = cell(Protocol.HTTP_JSON, scheme, answer.status, answer.tier)
        if answer.status is not Status.FOUND:
            return PlainAnswer(hot.refusal(status, body), counted, key)
        from_memory = cell(Protocol.HTTP_JSON, scheme, Status.FOUND, Tier.MEMORY)
        tail = hot.remember(path, body, answer, key, from_memory, era)
        return PlainAnswer(hot.start + tail, counted, key)
