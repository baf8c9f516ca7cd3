"""A prefix with its administrators in an application in memory, and requests in their names."""

from base64 import b64encode
from urllib.parse import quote

import httpx

from resolver.wire import AdminData, AdminPermission, HandleValue, encode_admin
from tests.support.web import Web

PREFIX = "88.118.8"
ADMIN, GUEST = f"300:{PREFIX}/ADMIN", f"300:{PREFIX}/GUEST"
PASSWORD = "pass:word/密"
ALL = AdminPermission(0xFFF)
ROOT = "/api/handles/"
URL = {"index": 1, "type": "URL", "data": "https://example.org/1"}
EMAIL = {"index": 2, "type": "EMAIL", "data": "a@example.org"}
OWNER = {
    "index": 100,
    "type": "HS_ADMIN",
    "data": {
        "format": "admin",
        "value": {"handle": f"{PREFIX}/ADMIN", "index": 300, "permissions": "111111111111"},
    },
}


def web_with_admin() -> Web:
    """Return an application with a prefix, who administers it, and a guest without rights."""
    web = Web()
    admin = encode_admin(AdminData(int(ALL), f"{PREFIX}/ADMIN".encode(), 300))
    owner = HandleValue(100, b"HS_ADMIN", admin)
    key = HandleValue(300, b"HS_SECKEY", PASSWORD.encode(), permissions=0b1100)
    web.store.put(f"0.NA/{PREFIX}", (owner,))
    for name in (ADMIN, GUEST):
        web.store.put(name.partition(":")[2], (HandleValue(1, b"DESC", b"somebody"), key))
    return web


def login_of(user: str, password: str = PASSWORD) -> dict[str, str]:
    """Return the header of a Basic login."""
    word = b64encode(f"{quote(user)}:{password}".encode()).decode()
    return {"Authorization": f"Basic {word}"}


async def ask(
    web: Web,
    method: str,
    path: str,
    body: object = None,
    *,
    user: str = ADMIN,
    secure: bool = True,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Send a request in somebody's name (nobody's when that is empty); the path as it is to be sent."""
    login = login_of(user) if user else {}
    async with web.client(secure=secure) as client:
        return await client.request(method, path, json=body, headers=login | (headers or {}))


async def put(
    web: Web,
    path: str,
    body: object,
    *,
    user: str = ADMIN,
    secure: bool = True,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """PUT below `/api/handles/`."""
    return await ask(web, "PUT", ROOT + path, body, user=user, secure=secure, headers=headers)


def told(reply: httpx.Response) -> tuple[int, int]:
    """Return status and response code."""
    return reply.status_code, reply.json()["responseCode"]
