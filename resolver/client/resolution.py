"""Resolution: ask another node by UDP, TCP or HTTP: one question, one reply, whichever way it travels.

For the command line, and for referrals later.  Times out everything it waits for; trusts nothing that comes back.
"""

import asyncio
import ssl
from dataclasses import dataclass
from time import time
from urllib.parse import quote_from_bytes

import httpx
import orjson

from resolver.client.failures import NodeUnreachable
from resolver.client.handshakes import HandshakeTransport
from resolver.handlejson import HandleJsonError, values_from_json
from resolver.identifier import Identifier, Scheme
from resolver.target import BodyTooLarge, read_body
from resolver.wire import (
    DatagramJoiner,
    Envelope,
    ErrorAnswer,
    Flag,
    FrameBuffer,
    HandleValue,
    Header,
    Message,
    Opcode,
    ReferralAnswer,
    ResolutionAnswer,
    ResolutionRequest,
    WireError,
    decode_answer,
    split_datagrams,
)

UDP_WAITS_SECONDS = (0.5, 1.0, 1.5)  # as Handle.Net's own client
TCP_SECONDS = 5.0  # to connect, and again for the answer
HTTP_SECONDS = 10.0
MAX_HTTP_BYTES = 4 * 1024 * 1024  # a record of 262 144 bytes, escaped and described
_VERSION = (2, 11)
_UNLABELLED = frozenset({Scheme.HANDLE, Scheme.DOI})


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask: a handle as it stands on the wire, and which of its public values."""

    handle: bytes
    types: tuple[bytes, ...] = ()
    indexes: tuple[int, ...] = ()
    authoritative: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What a node said: its response code, and the values or a sentence that came with it.

    `referral` is the handle that a service referral names.
    """

    code: int
    values: tuple[HandleValue, ...] = ()
    message: str = ""
    referral: bytes = b""


def wire_name(identifier: Identifier) -> bytes:
    """Return an identifier as the native protocol and `/api/handles/` spell it."""
    if identifier.scheme not in _UNLABELLED:
        return identifier.key
    label, _, name = identifier.text.partition(":")
    return (name if label.lower() in ("hdl", "doi") else identifier.text).encode()


async def ask_udp(host: str, port: int, query: Query, request_id: int) -> Reply:
    """Ask by UDP, up to three times.  Raises NodeUnreachable."""
    request = _request(query, request_id)
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[bytes] = loop.create_future()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(waiter, request_id), remote_addr=(host, port)
        )
    except OSError as error:
        raise NodeUnreachable(f"cannot send to {host} port {port}: {error}") from error
    try:
        for wait_seconds in UDP_WAITS_SECONDS:
            for datagram in split_datagrams(request):
                transport.sendto(datagram)
            done, _ = await asyncio.wait([waiter], timeout=wait_seconds)
            if done:
                return _read(waiter.result())
    except OSError as error:
        raise NodeUnreachable(f"nobody listens at {host} port {port} (UDP): {error}") from error
    finally:
        transport.close()
    raise NodeUnreachable(
        f"no answer from {host} port {port} by UDP in {sum(UDP_WAITS_SECONDS):g} s; long answers are not"
        " sent by UDP: ask by TCP"
    )


async def ask_tcp(host: str, port: int, query: Query, request_id: int) -> Reply:
    """Ask by TCP, on a connection of its own.  Raises NodeUnreachable."""
    try:
        async with asyncio.timeout(TCP_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        raise NodeUnreachable(
            f"cannot connect to {host} port {port}: {error or 'timed out'}"
        ) from error
    try:
        writer.write(_request(query, request_id))
        async with asyncio.timeout(TCP_SECONDS):
            return _read(await _next_frame(reader, request_id))
    except TimeoutError as error:
        raise NodeUnreachable(f"no answer from {host} port {port} in {TCP_SECONDS:g} s") from error
    except (OSError, WireError) as error:
        raise NodeUnreachable(
            f"{host} port {port} does not speak the Handle protocol: {error}"
        ) from error
    finally:
        writer.close()


async def ask_http(base_url: str, query: Query, tls: ssl.SSLContext | None = None) -> Reply:
    """Ask the Handle JSON API at `base_url` (`http://host:port`).  Raises NodeUnreachable.

    `tls` says whom to believe over https; the system's authorities when None.
    """
    url = f"{base_url}/api/handles/{quote_from_bytes(query.handle, safe='/:')}"
    fields = [("type", name) for name in query.types]
    fields += [("index", b"%d" % index) for index in query.indexes]
    fields += [("auth", b"true")] * query.authoritative
    is_secret = base_url.startswith("https:")  # for plain HTTP no certificates are loaded
    question = "&".join(f"{name}={quote_from_bytes(value, safe='')}" for name, value in fields)
    try:
        async with (
            asyncio.timeout(HTTP_SECONDS),
            httpx.AsyncClient(
                transport=HandshakeTransport(verify=tls or is_secret, trust_env=False),
                trust_env=False,
            ) as client,
            client.stream("GET", f"{url}?{question}" if fields else url) as response,
        ):
            return _read_json(await read_body(response.aiter_bytes(), MAX_HTTP_BYTES))
    except TimeoutError as error:
        raise NodeUnreachable(f"no answer from {base_url} in {HTTP_SECONDS:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NodeUnreachable(f"cannot ask {base_url}: {error}") from error
    except (BodyTooLarge, ValueError) as error:
        raise NodeUnreachable(f"{base_url} does not speak the Handle JSON API: {error}") from error


class _Datagrams(asyncio.DatagramProtocol):
    """Joins the datagrams of the one answer that is awaited; drops what belongs to no answer."""

    def __init__(self, waiter: asyncio.Future[bytes], request_id: int) -> None:
        self._waiter = waiter
        self._request_id = request_id
        self._joiner = DatagramJoiner()

    def datagram_received(self, data: bytes, _address: object) -> None:
        """Called by the event loop."""
        now = asyncio.get_running_loop().time()
        try:
            message = self._joiner.add((), data, now)
            if message is None or Envelope.decode(message).request_id != self._request_id:
                return
        except WireError:
            return
        if not self._waiter.done():
            self._waiter.set_result(message)

    def error_received(self, error: Exception) -> None:
        """Called by the event loop: for one, nobody listens there."""
        if not self._waiter.done():
            self._waiter.set_exception(error)


def _request(query: Query, request_id: int) -> bytes:
    flags = Flag.PUBLIC_ONLY | (Flag.AUTHORITATIVE if query.authoritative else Flag(0))
    body = ResolutionRequest(query.handle, query.indexes, query.types).encode()
    envelope = Envelope(*_VERSION, *_VERSION, request_id=request_id)
    return Message(envelope, Header(Opcode.RESOLUTION, flags=int(flags)), body).encode()


async def _next_frame(reader: asyncio.StreamReader, request_id: int) -> bytes:
    """Return the next whole message with our request id; others are not for us."""
    frames = FrameBuffer()
    while chunk := await reader.read(65_536):
        frames.feed(chunk)
        while (message := frames.next_message()) is not None:
            if Envelope.decode(message).request_id == request_id:
                return message
    raise ConnectionResetError("closed without an answer")


def _read(data: bytes) -> Reply:
    """Return what a native answer says.  Raises NodeUnreachable for one that cannot be read."""
    try:
        message = Message.decode(data)
        _, answer = decode_answer(message)
    except WireError as error:
        raise NodeUnreachable(f"the answer cannot be read: {error}") from error
    code = message.header.response_code
    if isinstance(answer, ResolutionAnswer):
        return Reply(code, answer.values)
    if isinstance(answer, ReferralAnswer):
        return Reply(code, answer.values or (), referral=answer.handle)
    if isinstance(answer, ErrorAnswer):
        return Reply(code, message=answer.text.decode(errors="replace"))
    return Reply(code)


def _read_json(body: bytes) -> Reply:
    """Return what a JSON answer says.  Raises ValueError for one that is none."""
    content = orjson.loads(body)
    code = content.get("responseCode") if isinstance(content, dict) else None
    if not isinstance(code, int):
        raise HandleJsonError("an answer without a responseCode")
    values = values_from_json(content.get("values") or [], now=int(time()), keep_timestamps=True)
    referral = str(content.get("referralHandle") or "").encode()
    return Reply(code, values, str(content.get("message") or ""), referral)
