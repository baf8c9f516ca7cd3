"""Writes take a way of their own past the routes; what they answer is what the routes answer, header for header."""

import httpx
import pytest

from node.web.straight import Straight
from resolver.wire import MAX_MESSAGE_BYTES
from tests.support.web import Web
from tests.support.web_writing import ADMIN, GUEST, PREFIX, ROOT, URL, ask, put, web_with_admin

LONG = "n" * 1_800  # the answer names the handle, and is long enough to be compressed
ZIPPED = {"accept-encoding": "gzip"}
SCRIPT = {"origin": "https://elsewhere.example"}


def by_the_routes() -> Web:
    """Return an application that knows no other way."""
    web = web_with_admin()
    others = [
        each
        for each in web.app.user_middleware
        if getattr(each.cls, "__name__", "") != Straight.__name__
    ]
    assert len(others) == len(web.app.user_middleware) - 1
    web.app.user_middleware[:] = others
    return web


def seen(reply: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    headers = [each for each in reply.headers.multi_items() if each[0] != "www-authenticate"]
    return reply.status_code, sorted(headers), reply.content


@pytest.mark.parametrize("headers", [{}, SCRIPT, ZIPPED, {**SCRIPT, **ZIPPED}])
@pytest.mark.parametrize("name", ["new", LONG, "%E4%BA%A7%E5%93%81%0A", ""])
async def test_both_ways_answer_alike(name: str, headers: dict[str, str]) -> None:
    answers = []
    for web in (web_with_admin(), by_the_routes()):
        path = f"{ROOT}{PREFIX}/{name}"
        answers.append(
            [
                seen(await put(web, f"{PREFIX}/{name}", [URL], headers=headers)),
                seen(await put(web, f"{PREFIX}/{name}?overwrite=false", [URL], headers=headers)),
                seen(await ask(web, "PUT", path, "no values", headers=headers)),
                seen(await ask(web, "DELETE", path, user="", headers=headers)),
                seen(await ask(web, "DELETE", path, user=GUEST, headers=headers)),
                seen(await ask(web, "DELETE", f"{path}?pretty", user=ADMIN, headers=headers)),
                seen(await ask(web, "DELETE", path, user=ADMIN, headers=headers)),
            ]
        )

    assert answers[0] == answers[1]


async def test_body_that_is_too_long_is_refused_alike() -> None:
    body = "x" * MAX_MESSAGE_BYTES
    answers = [
        seen(await ask(web, "PUT", f"{ROOT}{PREFIX}/new", body))
        for web in (web_with_admin(), by_the_routes())
    ]

    assert answers[0][0] == 413
    assert answers[0] == answers[1]
