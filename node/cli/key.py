"""`idnode key`: make keys of administrators and of this node, show public halves, and certify keys for TLS.

All of it is done on this machine; a record learns of a key when its value is written there (`idnode record add`).
Laws: a file that is there is never written over; a private or secret key goes to a file of its owner alone, and to the
terminal only when somebody asks for it.
"""

import argparse
import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import orjson

from node import config
from node.cli.output import Form, print_json, print_rows
from node.errors import Kind, RegistryError
from node.site import KEY_FILE
from resolver.handlejson import values_to_json
from resolver.keys import ServerKey
from resolver.keys.certificates import AUTHORITY_CERTIFICATE_FILE, AUTHORITY_FILE, Authority
from resolver.keys.files import load_private, make_secret, write_new
from resolver.keys.private import KeyKind, make_private, public_half, to_pem
from resolver.keys.signing import SigningKey, SigningKind
from resolver.wire import (
    DsaPublicKey,
    HandleValue,
    Permission,
    PublicKey,
    RsaPublicKey,
    Sm2PublicKey,
    encode_public_key,
)

DEFAULT_INDEX = 300  # where administrators' keys stand by custom
DEFAULT_BITS = 2048
DEFAULT_DAYS = 365
_SIGNING_KINDS = {
    "ed25519": SigningKind.ED25519,
    "rsa": SigningKind.RSA,
    "sm2": SigningKind.SM2,
}
SECRET = "secret"  # noqa: S105  the word for a kind of key

_EPILOG = """\
examples:
  idnode key make rsa --file admin.pem --output json > value.json
  idnode record add 88.118.8/ADMIN --file value.json

  idnode key make secret --file secret.txt --index 301 --value-file value.json
  idnode record add 88.118.8/ADMIN --file value.json && rm value.json

  idnode key certificate 300:88.118.8/ADMIN --key admin.pem --file admin.crt
  curl --cert admin.crt --key admin.pem …

exit codes:
  0  done
  2  wrong use, or a file that holds no key
  3  a file, or the node's data directory, is not there
  4  a file is there already; nothing is written over
  5  a file may not be read or written by this account
"""

_PUBLIC_MODE = 0o644
_SECRET_PERMISSIONS = int(Permission.ADMIN_READ | Permission.ADMIN_WRITE)

Json = dict[str, object]


class Word(NamedTuple):
    """A word behind `idnode key`: what it is for, which arguments it takes, and what it does."""

    name: str
    purpose: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    act: Callable[[argparse.Namespace], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    parser.epilog = _EPILOG
    words = parser.add_subparsers(dest="word", metavar="WORD", title="words", required=True)
    for word in WORDS:
        below = words.add_parser(
            word.name,
            help=word.purpose,
            description=f"{word.purpose[0].upper()}{word.purpose[1:]}.",
        )
        word.add_arguments(below)
        below.add_argument(
            "--output",
            type=Form,
            choices=[Form.TABLE, Form.JSON],
            default=Form.TABLE,
            help="for people or programs; default: table",
        )


def run(arguments: argparse.Namespace) -> int:
    """Carry it out and return 0.  Raises RegistryError for everything else."""
    word = next(word for word in WORDS if word.name == arguments.word)
    try:
        word.act(arguments)
    except ValueError as error:
        raise RegistryError(Kind.INVALID, str(error)) from error
    except FileExistsError as error:
        sentence = f"{error.filename2 or error.filename} is there already; choose another name."
        raise RegistryError(Kind.CONFLICT, sentence) from error
    except FileNotFoundError as error:
        raise RegistryError(Kind.NOT_FOUND, f"{error.filename} is not there.") from error
    except OSError as error:
        sentence = f"{error.filename}: {error.strerror}."
        raise RegistryError(Kind.FORBIDDEN, sentence) from error
    return 0


def _add_make_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "KIND", choices=[*KeyKind, SECRET], help="rsa, dsa and sm2 sign; a secret is a password"
    )
    parser.add_argument(
        "--file", type=Path, metavar="FILE", required=True, help="where the key is written"
    )
    parser.add_argument(
        "--index", type=int, default=DEFAULT_INDEX, help="of the value in the record; default: 300"
    )
    parser.add_argument(
        "--bits", type=int, default=DEFAULT_BITS, help="of an RSA key; default: 2048"
    )
    parser.add_argument(
        "--value-file", type=Path, metavar="FILE", help="write the record's value there"
    )
    parser.add_argument(
        "--print", action="store_true", help="print the value even when it is a secret key"
    )


def _make(arguments: argparse.Namespace) -> None:
    for path in filter(None, (arguments.file, arguments.value_file)):
        _expect_free(path)
    is_secret = arguments.KIND == SECRET
    key, value = _secret(arguments) if is_secret else _private(arguments)
    write_new(arguments.file, key)
    shown = value if arguments.print or not is_secret else None
    if arguments.value_file is not None:
        write_new(arguments.value_file, _dumps(value))
        shown = value if arguments.print else None
    _print_made(arguments, shown)


def _private(arguments: argparse.Namespace) -> tuple[bytes, Json]:
    private = make_private(KeyKind(arguments.KIND), arguments.bits)
    return to_pem(private), _public_value(arguments.index, public_half(private))


def _secret(arguments: argparse.Namespace) -> tuple[bytes, Json]:
    secret = make_secret().encode()
    value = HandleValue(arguments.index, b"HS_SECKEY", secret, permissions=_SECRET_PERMISSIONS)
    return secret + b"\n", _value_json(value)


def _print_made(arguments: argparse.Namespace, shown: Json | None) -> None:
    if arguments.output is Form.JSON:
        print_json(shown if shown is not None else {"file": str(arguments.file)})
        return
    print(f"The key is in {arguments.file}; only this account can read it.")
    if arguments.value_file is not None:
        print(f"The value for the record is in {arguments.value_file}.")
    if shown is not None:
        print(f"The value for the record, as Handle JSON:\n{_dumps(shown).decode()}", end="")
    elif arguments.value_file is None:
        print(
            "The value for the record holds the secret: --value-file writes it, --print shows it."
        )


def _add_show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "FILE", nargs="?", type=Path, help="a private key (PEM); default: the key of this node"
    )
    parser.add_argument(
        "--index", type=int, default=DEFAULT_INDEX, help="of the value in the record; default: 300"
    )


def _show(arguments: argparse.Namespace) -> None:
    public = _server_key() if arguments.FILE is None else public_half(load_private(arguments.FILE))
    value = _public_value(arguments.index, public)
    if arguments.output is Form.JSON:
        print_json(value)
        return
    fingerprint = hashlib.sha256(encode_public_key(public)).hexdigest()
    rows = [("key", _describe(public)), ("SHA-256 of its value", fingerprint)]
    print_rows(Form.TABLE, ("", ""), rows)
    print(_dumps(value).decode(), end="")


def _server_key() -> PublicKey:
    path = _data_directory() / KEY_FILE
    if not path.exists():
        raise FileNotFoundError(0, "", str(path))
    return ServerKey.load_or_make(path).public_key()


def _add_certificate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "IDENTITY", help="whose key it is: index and handle, such as 300:88.118.8/ADMIN"
    )
    parser.add_argument(
        "--key", type=Path, metavar="FILE", required=True, help="the private RSA key (PEM)"
    )
    parser.add_argument(
        "--file", type=Path, metavar="FILE", required=True, help="where the certificate is written"
    )
    parser.add_argument(
        "--days", type=int, default=DEFAULT_DAYS, help="how long it is good; default: 365"
    )


def _certificate(arguments: argparse.Namespace) -> None:
    _expect_free(arguments.file)
    private, now = load_private(arguments.key), datetime.now(UTC)
    directory = _data_directory()
    _refuse_other_account(directory)
    authority = Authority.load_or_make(directory, now)
    certificate = authority.issue(arguments.IDENTITY, private, now, arguments.days)
    write_new(arguments.file, certificate, _PUBLIC_MODE)
    made: Json = {
        "identity": arguments.IDENTITY,
        "certificate": str(arguments.file),
        "until": (now + timedelta(days=arguments.days)).isoformat(timespec="seconds"),
        "authority": str(directory / AUTHORITY_CERTIFICATE_FILE),
    }
    if arguments.output is Form.JSON:
        print_json(made)
    else:
        print_rows(Form.TABLE, ("", ""), [(name, value) for name, value in made.items()])


def _expect_free(path: Path) -> None:
    """See that a file can be written, before work is done that would be lost."""
    if path.exists():
        raise FileExistsError(0, "", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(0, "", str(path.parent))


def _data_directory() -> Path:
    directory = config.load().data_dir
    if not directory.is_dir():
        sentence = f"No node has run on {directory}; start it once, or set IDNODE_DATA_DIR."
        raise RegistryError(Kind.NOT_FOUND, sentence)
    return directory


def _refuse_other_account(directory: Path) -> None:
    """An authority that another account makes could not be read by the node."""
    owner = directory.stat().st_uid
    if not (directory / AUTHORITY_FILE).exists() and owner != os.geteuid():
        sentence = f"{directory} belongs to another account ({owner}); run this as that one."
        raise RegistryError(Kind.FORBIDDEN, sentence)


def _public_value(index: int, key: PublicKey) -> Json:
    return _value_json(HandleValue(index, b"HS_PUBKEY", encode_public_key(key)))


def _value_json(value: HandleValue) -> Json:
    """Return what has to be said of a new value; time and TTL are the server's to choose.  Raises ValueError."""
    if value.index == 0:
        raise ValueError("--index must be 1 or more: 0 stands for any key of a record")
    written: Json = orjson.loads(values_to_json([value]))[0]
    return {name: field for name, field in written.items() if name not in ("ttl", "timestamp")}


def _dumps(document: Json) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _describe(key: PublicKey) -> str:
    match key:
        case RsaPublicKey():
            return f"RSA, {key.modulus.bit_length()} bits"
        case DsaPublicKey():
            return f"DSA, {key.p.bit_length()} bits"
        case Sm2PublicKey():
            return "SM2"
    return "Diffie-Hellman"


def _add_sync_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file", type=Path, metavar="FILE", required=True, help="where the key is written"
    )
    parser.add_argument(
        "--kind",
        choices=sorted(_SIGNING_KINDS),
        default="ed25519",
        help="how it signs; default: ed25519",
    )
    parser.add_argument(
        "--bits", type=int, default=DEFAULT_BITS, help="of an RSA key; default: 2048"
    )


def _sync(arguments: argparse.Namespace) -> None:
    public_file = arguments.file.with_suffix(".pub")
    if public_file == arguments.file:
        raise ValueError("--file names the private key; .pub is for the public half beside it")
    for path in (arguments.file, public_file):
        _expect_free(path)
    key = SigningKey.make(_SIGNING_KINDS[arguments.kind], arguments.bits)
    write_new(arguments.file, key.pem)
    write_new(public_file, key.public.pem, _PUBLIC_MODE)
    made: Json = {
        "file": str(arguments.file),
        "public": str(public_file),
        "key_id": key.key_id,
        "algorithm": key.algorithm,
    }
    if arguments.output is Form.JSON:
        print_json(made)
    else:
        print_rows(Form.TABLE, ("", ""), [(name, value) for name, value in made.items()])
        print(key.public.pem.decode(), end="")


WORDS = (
    Word("make", "make a key, and the value that its record needs", _add_make_arguments, _make),
    Word("show", "show the public half of a key", _add_show_arguments, _show),
    Word(
        "certificate",
        "issue a TLS client certificate for an administrator's key",
        _add_certificate_arguments,
        _certificate,
    ),
    Word(
        "sync",
        "make a key that signs what is said to the top-level node",
        _add_sync_arguments,
        _sync,
    ),
)
