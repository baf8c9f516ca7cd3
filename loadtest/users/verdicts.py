"""Verdicts: whether an answer is the right one; what is wrong with it, as a sentence for locust's table.

A known identifier's answer must hold the public values of its record and no others; an unknown one's must say that
there is none (404, Handle response code 100).  Looking closely costs more than asking, so an answer that was found
right is kept, and the next one for the same identifier is compared with it byte for byte.
"""

import json
from collections.abc import Callable
from struct import Struct

from loadtest.baselines.echo import BODY
from loadtest.corpus import record_at
from loadtest.exchange import BODY_AT
from loadtest.learn import differs_in_json, missing_natively
from loadtest.users.questions import Question
from resolver.wire import ResponseCode

OK, NOT_FOUND = 200, 404
_KEPT = 100_000
_Look = Callable[[Question, bytes], str]
_code_of = Struct(">24xI").unpack_from


class Verdicts:
    """Judges answers of one kind; `is_echo`: the server is `loadtest.baselines.echo`, and right is what it sends."""

    def __init__(self, *, is_echo: bool = False) -> None:
        self._is_echo = is_echo
        self._right: dict[tuple[int, str], bytes] = {}

    def http(self, question: Question, status: int, body: bytes) -> str:
        """Return what is wrong with an answer of the Handle JSON API, "" when nothing is."""
        if self._is_echo:
            return "" if body == BODY else "not what the echo sends"
        if question.is_known:
            if status != OK:
                return f"status {status} for a known identifier"
            return self._judge(0, question, body, _differs)
        if status != NOT_FOUND or _response_code(body) != ResponseCode.HANDLE_NOT_FOUND:
            return (
                f"status {status}, response code {_response_code(body)} for an unknown identifier"
            )
        return ""

    def native(self, question: Question, request: bytes, answer: bytes) -> str:
        """Return what is wrong with a whole message, "" when nothing is."""
        if self._is_echo:
            return "" if answer == request else "not what was sent"
        if len(answer) < BODY_AT or answer[8:12] != request[8:12]:
            return "an answer to another request"
        (code,) = _code_of(answer)
        due = ResponseCode.SUCCESS if question.is_known else ResponseCode.HANDLE_NOT_FOUND
        if code != due:
            return f"response code {code} instead of {due.value}"
        if not question.is_known:
            return ""
        return self._judge(1, question, answer[BODY_AT:], _misses)

    def _judge(self, kind: int, question: Question, body: bytes, fault_of: _Look) -> str:
        key = (kind, question.handle)
        if self._right.get(key) == body:
            return ""
        fault = fault_of(question, body)
        if not fault and len(self._right) < _KEPT:
            self._right[key] = body
        return fault


def _differs(question: Question, body: bytes) -> str:
    try:
        return differs_in_json(record_at(question.number), body)
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"no answer of the Handle JSON API: {body[:80]!r}"


def _misses(question: Question, body: bytes) -> str:
    return missing_natively(record_at(question.number), bytes(BODY_AT) + body)


def _response_code(body: bytes) -> int | None:
    try:
        return int(json.loads(body)["responseCode"])
    except (ValueError, KeyError, TypeError):
        return None
