"""Documents of the admin listener, asked for by the client: versions, refusals, and what is sent again."""

import orjson
import pytest

from resolver.client import (
    Busy,
    ClientError,
    ConditionFailed,
    Conflict,
    Document,
    Forbidden,
    Invalid,
    NodeUnreachable,
    NotFound,
    NotOffered,
)
from resolver.client.failures import Fault
from resolver.wire import HandleValue
from tests.support.cutting import Script, asking, cut, cutting, saying

SHOWN = saying(200, '{"id": "e1"}', ETag='"3"')
DONE = saying(201, '{"responseCode":1}', Idempotency_Key_Honoured="true", ETag='"1"')


def problem(status: int, kind: str, *faults: Fault, **members: object) -> Script:
    """Answer with a problem document."""
    listed = {"faults": [each._asdict() for each in faults]} if faults else {}
    content = {"type": f"/docs#{kind}", "detail": "the detail"} | listed | members
    return saying(status, orjson.dumps(content).decode())


async def test_document_is_handed_in_on_the_terms_of_a_version() -> None:
    async with cutting(SHOWN) as server, asking(server.url) as client:
        done = await client.document(
            "PUT", "/v1/x", query=(("a", "中"),), body={"b": 1}, if_version=2
        )

    assert done == Document({"id": "e1"}, 3)
    assert server.arrived[0].line == "PUT /v1/x?a=%E4%B8%AD HTTP/1.1"
    assert server.arrived[0].headers["if-match"] == '"2"'
    assert server.arrived[0].headers["content-type"] == "application/json"
    assert server.arrived[0].body == b'{"b":1}'


async def test_answer_without_a_body_is_an_empty_document() -> None:
    async with cutting(saying(204)) as server, asking(server.url) as client:
        assert await client.document("DELETE", "/v1/x") == Document({})


@pytest.mark.parametrize(
    ("script", "error", "sentence"),
    [
        (problem(404, "no_such_object"), NotFound, "the detail"),
        (problem(409, "object_exists"), Conflict, "the detail"),
        (problem(409, "step_refused", Fault("state", "a.b", "no")), Conflict, "state: no (a.b)"),
        (problem(403, "step_not_yours", Fault("", "role", "no")), Forbidden, "no (role)"),
        (problem(422, "rule_broken", Fault("a", "form", "x")), Invalid, "a: x (form)"),
        (
            problem(422, "rule_broken", Fault("a", "form", "x"), Fault("b.0", "kind", "y")),
            Invalid,
            "2 rules are broken:\n  a: x (form)\n  b.0: y (kind)",
        ),
        (problem(412, "condition_failed", version=3), ConditionFailed, "has changed"),
        (problem(422, "unknown"), Invalid, "a rule is broken (the detail)"),
        (problem(415, "unsupported_media_type"), Invalid, "media type"),
        (saying(404, "{}"), NotOffered, "does not offer"),
        (saying(422, '{"type": 1, "faults": [1, {"rule": 2}]}'), Invalid, "a rule is broken"),
        (saying(200, "[]"), NodeUnreachable, "no JSON object"),
    ],
)
async def test_refusal_names_what_is_wrong(
    script: Script, error: type[ClientError], sentence: str
) -> None:
    async with cutting(script) as server, asking(server.url) as client:
        with pytest.raises(error) as raised:
            await client.document("POST", "/v1/x", body={})

    assert type(raised.value) is error
    assert sentence in str(raised.value)


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("PUT", 2), ("POST", 1)])
@pytest.mark.parametrize("lost", [cut, saying(503, "{}")], ids=["lost", "busy"])
async def test_step_whose_answer_was_lost_is_not_taken_twice(
    method: str, times: int, lost: Script
) -> None:
    """Not even by a client that knows a server to honour keys: a step has none."""
    async with cutting(DONE, lost, SHOWN) as server, asking(server.url) as client:
        await client.put("88.1/x", (HandleValue(1, b"URL", b"u"),))
        try:
            await client.document(method, "/v1/x", body={})
        except (NodeUnreachable, Busy):
            assert times == 1

    assert len(server.arrived) == 1 + times
