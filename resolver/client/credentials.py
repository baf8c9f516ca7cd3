"""Credentials: what proves who asks, and where it may be sent.

Laws: a secret is never part of a `repr`, a message or a log; without `cleartext` it goes over TLS, or stays on this
machine.
"""

import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, urlsplit

from resolver.client.failures import ClientError, InsecureLogin

_TOKEN = re.compile(r"[\x21-\x7e]+")
_LOCAL_NAMES = frozenset({"localhost"})


@dataclass(frozen=True, slots=True)
class Basic:
    """A secret key by its name, such as `300:88.1/ADMIN` (index 0: any key of that record)."""

    name: str
    secret: str = field(repr=False)

    def headers(self) -> Mapping[str, str]:
        """Return the header; the name is percent-encoded, because a handle may hold a colon."""
        pair = f"{quote(self.name, safe='/')}:{self.secret}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


@dataclass(frozen=True, slots=True)
class Token:
    """An API token, as the server gave it out."""

    text: str = field(repr=False)

    def headers(self) -> Mapping[str, str]:
        """Return the header."""
        return {"Authorization": f"Bearer {self.text}"}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate (PEM, with what leads to its issuer), and its private key when that is in another file."""

    certificate: Path
    key: Path | None = None

    def headers(self) -> Mapping[str, str]:
        """Return the header that asks a Handle server to look at the certificate."""
        return {"Authorization": 'Handle clientCert="true"'}


Credentials = Basic | Token | Certificate


def check_way(url: str, credentials: Credentials | None, *, cleartext: bool) -> None:
    """Refuse a way that would show a secret to others.  Raises InsecureLogin, and ClientError for what is no URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClientError(f"{url}: must begin with http:// or https://, and name a host")
    if parts.username is not None or parts.password is not None:
        raise ClientError("a URL with a password in it ends up in logs; give the secret apart")
    if isinstance(credentials, Token) and not _TOKEN.fullmatch(credentials.text):
        raise ClientError("a token is one word of visible ASCII characters; this one is not")
    if credentials is None or parts.scheme == "https":
        return
    if isinstance(credentials, Certificate):
        raise InsecureLogin(f"{url}: a client certificate is shown over TLS only; use https://")
    if not cleartext and not is_this_machine(parts.hostname):
        raise InsecureLogin(
            f"{url}: a secret would go over plain HTTP to another machine; use https://, or allow it on purpose"
        )


def is_this_machine(host: str) -> bool:
    """True for a loopback address, and for `localhost`."""
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(credentials: Credentials | None, ca_file: Path | None) -> ssl.SSLContext:
    """Return what TLS is spoken with: `ca_file` (PEM) in place of the system's authorities.  Raises ClientError."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # an SSLError is one
        raise ClientError(f"{ca_file}: cannot be read as certificates (PEM): {error}") from error
    if isinstance(credentials, Certificate):
        try:
            context.load_cert_chain(credentials.certificate, credentials.key)
        except OSError as error:
            raise ClientError(
                f"{credentials.certificate}: cannot be read as a certificate with its private key (PEM): {error}"
            ) from error
    return context
