"""Can the Redis of this URL be reached?  One word in its own protocol, so that a start needs no client library."""

import asyncio
import ssl
from contextlib import suppress
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit, urlunsplit

from node.errors import Kind, RegistryError

TIMEOUT_SECONDS = 5.0
REDIS_PORT = 6379
CLUSTER = (
    "+cluster"  # after the scheme: several nodes of a cluster follow, of which one has to answer
)
_NO_CLUSTER = b"-ERR This instance has cluster support disabled"


async def ping_redis(url: str) -> None:
    """Return when the server, or one of a cluster, answers.

    Raises RegistryError: UNAVAILABLE, FORBIDDEN for a wrong password, MISCONFIGURED for a cluster that is none.
    """
    *others, last = redis_servers(url)
    for each in others:
        with suppress(RegistryError):
            await _ping(urlsplit(each))
            return
    await _ping(urlsplit(last))


def redis_servers(url: str) -> tuple[str, ...]:
    """Return the URL, or for a cluster one URL for each node that it names."""
    parts = urlsplit(url)
    if not parts.scheme.endswith(CLUSTER):
        return (url,)
    login, at, hosts = parts.netloc.rpartition("@")
    nodes = [host for host in hosts.split(",") if host] or [""]
    return tuple(urlunsplit(parts._replace(netloc=f"{login}{at}{host}")) for host in nodes)


async def _ping(parts: SplitResult) -> None:
    where = (
        unquote(parts.path)
        if parts.scheme == "unix"
        else f"{parts.hostname}:{parts.port or REDIS_PORT}"
    )
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            answer = await _exchange(parts)
    except (
        OSError,
        EOFError,
        ValueError,
    ) as error:  # OSError includes TimeoutError and ssl.SSLError
        reason = getattr(error, "strerror", None) or str(error) or "no answer in time"
        raise RegistryError(
            Kind.UNAVAILABLE,
            f"Redis at {where} cannot be reached ({reason}); start it, or correct IDNODE_REDIS_URL "
            "(empty starts an embedded one).",
        ) from error
    if answer.startswith((b"-NOAUTH", b"-WRONGPASS", b"-ERR invalid password", b"-NOPERM")):
        raise RegistryError(
            Kind.FORBIDDEN,
            f"Redis at {where} refuses our user or password; correct IDNODE_REDIS_URL.",
        )
    if answer.startswith(_NO_CLUSTER):
        raise RegistryError(
            Kind.MISCONFIGURED,
            f"Redis at {where} is not a cluster; write IDNODE_REDIS_URL without {CLUSTER}.",
        )
    if not answer.startswith((b"+PONG", b":", b"-LOADING", b"-BUSY")):
        raise RegistryError(
            Kind.UNAVAILABLE, f"What listens at {where} is not Redis; correct IDNODE_REDIS_URL."
        )


async def _exchange(parts: SplitResult) -> bytes:
    """Log in if the URL has a password, ask for a word, and return the last answer (or the refusal of the login)."""
    reader, writer = await _open(parts)
    try:
        if parts.password:
            user = [unquote(parts.username)] if parts.username else []
            writer.write(_command("AUTH", *user, unquote(parts.password)))
            answer = await reader.readline()
            if not answer.startswith(b"+OK"):
                return answer
        is_cluster = parts.scheme.endswith(CLUSTER)
        writer.write(_command(*(("CLUSTER", "KEYSLOT", "0") if is_cluster else ("PING",))))
        return await reader.readline()
    finally:
        writer.close()


async def _open(parts: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if parts.scheme == "unix":
        return await asyncio.open_unix_connection(unquote(parts.path))
    secured = _context(parts) if parts.scheme.startswith("rediss") else None
    host, port = parts.hostname or "localhost", parts.port or REDIS_PORT
    return await asyncio.open_connection(host, port, ssl=secured)


def _context(parts: SplitResult) -> ssl.SSLContext:
    """Build the TLS context that the URL's `ssl_…` parameters ask for, as redis-py reads them."""
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context


def _command(*words: str) -> bytes:
    coded = [word.encode() for word in words]
    return b"*%d\r\n" % len(coded) + b"".join(
        b"$%d\r\n%b\r\n" % (len(word), word) for word in coded
    )
