"""Access: which server a command asks, and as whom.

On the node's own machine nothing has to be said: the running node is found, asked on its admin listener, and believes
the operator token in its data directory, which only the node's own account can read.
"""

import argparse
import stat
import sys
from pathlib import Path

from node import config
from node.address import Endpoint, loopback_if_any
from node.config import Settings
from node.errors import Kind, RegistryError
from node.process.running import find_running
from node.registry.tokens import OPERATOR_TOKEN_FILE
from resolver.client import (
    Basic,
    Busy,
    Certificate,
    Client,
    ClientError,
    Conflict,
    Credentials,
    Forbidden,
    InsecureLogin,
    LoginNeeded,
    NodeUnreachable,
    NotFound,
    NotOffered,
    ServerFault,
    Token,
)

MAX_SECRET_BYTES = 65_536

_KINDS: tuple[tuple[type[ClientError], Kind], ...] = (
    (NotFound, Kind.NOT_FOUND),
    (Conflict, Kind.CONFLICT),
    (Forbidden, Kind.FORBIDDEN),
    (LoginNeeded, Kind.FORBIDDEN),
    (InsecureLogin, Kind.FORBIDDEN),
    (Busy, Kind.UNAVAILABLE),
    (ServerFault, Kind.UNAVAILABLE),
    (NodeUnreachable, Kind.UNAVAILABLE),
)


def add_access_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say whom to ask, and as whom."""
    group = parser.add_argument_group("whom to ask, and as whom")
    group.add_argument(
        "--server", metavar="URL", help="http:// or https://; default: the node that runs here"
    )
    group.add_argument(
        "--as", dest="who", metavar="INDEX:HANDLE", help="log in with this secret key"
    )
    group.add_argument("--secret-file", type=Path, metavar="FILE", help="where that secret key is")
    group.add_argument("--token-file", type=Path, metavar="FILE", help="log in with an API token")
    group.add_argument(
        "--certificate", type=Path, metavar="FILE", help="log in with this certificate (PEM)"
    )
    group.add_argument(
        "--certificate-key", type=Path, metavar="FILE", help="its key, if in a file of its own"
    )
    group.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="authorities that vouch for the server (PEM)"
    )
    group.add_argument(
        "--allow-cleartext", action="store_true", help="send secrets over plain HTTP, too"
    )


def client_for(arguments: argparse.Namespace) -> Client:
    """Return a client of the server that the options name.  Raises RegistryError."""
    credentials = _credentials(arguments)
    url: str | None = arguments.server
    if url is None:
        running = _running()
        url = f"http://{_reachable(running.admin_listen[0])}"
        credentials = credentials or Token(read_operator_token(running))
    try:
        return Client(
            url, credentials, ca_file=arguments.ca_file, cleartext=arguments.allow_cleartext
        )
    except ClientError as error:
        kind = Kind.FORBIDDEN if isinstance(error, InsecureLogin) else Kind.INVALID
        hint = "; --allow-cleartext does" if isinstance(error, InsecureLogin) else ""
        raise RegistryError(kind, f"{error}{hint}") from error


def read_operator_token(settings: Settings) -> str:
    """Return the operator token of the node that runs with these settings.  Raises RegistryError."""
    path = settings.data_dir / OPERATOR_TOKEN_FILE
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError as error:
        sentence = f"The node in {settings.data_dir} has made no operator token; start it again."
        raise RegistryError(Kind.UNAVAILABLE, sentence) from error
    except PermissionError as error:
        sentence = f"Another account runs the node in {settings.data_dir}; use that one, or --as."
        raise RegistryError(Kind.FORBIDDEN, sentence) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(Kind.MISCONFIGURED, f"{path} cannot be read: {error}.") from error


def refusal(error: ClientError) -> RegistryError:
    """Return what the command line says of a failure, and what can be done about it."""
    kind = next((kind for sort, kind in _KINDS if isinstance(error, sort)), Kind.INVALID)
    sentence = str(error)
    if isinstance(error, LoginNeeded):
        sentence += "; log in: --as and --secret-file, --token-file, or --certificate"
    if isinstance(error, NotOffered):
        sentence += "; the admin listener offers all that this command can ask"
    key = error.idempotency_key if isinstance(error, Busy | NodeUnreachable) else ""
    if key:
        sentence += f"; it may have been carried out: the same command with --idempotency-key {key} finds out"
    return RegistryError(kind, sentence)


def check_identity(text: str, option: str) -> str:
    """Return the name of a key, `index:handle`.  Raises RegistryError, which names the option."""
    index, colon, handle = text.partition(":")
    if colon and index.isascii() and index.isdigit() and len(index) < 10 and handle:
        return text
    raise RegistryError(
        Kind.INVALID, f"{option} {text}: must be index:handle, such as 300:88.118/ADMIN"
    )


def _credentials(arguments: argparse.Namespace) -> Credentials | None:
    given = [
        name
        for name in ("secret_file", "token_file", "certificate")
        if getattr(arguments, name) is not None
    ]
    if len(given) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise RegistryError(Kind.INVALID, f"{names} exclude each other; log in one way")
    if (arguments.who is None) != (arguments.secret_file is None):
        raise RegistryError(Kind.INVALID, "--as and --secret-file belong together")
    if arguments.certificate_key is not None and arguments.certificate is None:
        raise RegistryError(Kind.INVALID, "--certificate-key needs --certificate")
    if arguments.secret_file is not None:
        return Basic(check_identity(arguments.who, "--as"), _secret(arguments.secret_file))
    if arguments.token_file is not None:
        return Token(_secret(arguments.token_file))
    if arguments.certificate is not None:
        return Certificate(arguments.certificate, arguments.certificate_key)
    return None


def _secret(path: Path) -> str:
    """Return the one line of a file; say so when others can read it.  Raises RegistryError."""
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                print(f"idnode: other accounts can read {path}; chmod 600 it.", file=sys.stderr)
            text = file.read(MAX_SECRET_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(Kind.INVALID, f"{path} cannot be read as text: {error}") from error
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or len(text) > MAX_SECRET_BYTES:
        raise RegistryError(Kind.INVALID, f"{path} is empty, or too long to be a secret")
    return text


def _running() -> Settings:
    settings = config.load()
    running = find_running(settings)
    if running is None:
        raise RegistryError(
            Kind.UNAVAILABLE,
            f"No node runs on {settings.data_dir}; start it with `idnode serve`, or name a server with --server.",
        )
    return running


def _reachable(listen: Endpoint) -> Endpoint:
    return Endpoint(loopback_if_any(listen.host), listen.port)
