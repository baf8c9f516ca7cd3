"""TLS of the HTTP listeners: the certificate that the settings name, and the authority that client certificates are of.

The files are read when a process starts; a self-signed certificate, and the authority, are made before by the one
process that starts the others.
"""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from node.address import loopback_if_any
from node.config import Settings
from node.errors import Kind, RegistryError
from node.reading import SELF_SIGNED
from resolver.keys.certificates import (
    SERVER_FILE,
    Authority,
    ensure_server_certificate,
    read_end,
)

PROTOCOLS = ["http/1.1"]
SOON = timedelta(days=14)  # a certificate that ends within it is warned of

_UNREADABLE = {
    "KEY_VALUES_MISMATCH": "the key is not the one of the certificate",
    "NO_START_LINE": "there is no certificate, or no key, in PEM",
    "BAD_DECRYPT": "the key is encrypted; nobody is there to type its password",
}


def is_on(settings: Settings) -> bool:
    """True when the HTTP listeners speak TLS."""
    return bool(settings.tls_certificate)


def make_files(settings: Settings) -> None:
    """Make what is missing in the data directory: the authority, and a self-signed certificate if one is wanted.

    Looks as well whether all files can be used, so that a start fails at once and in words.  Raises RegistryError.
    """
    if not is_on(settings):
        return
    if settings.tls_certificate == SELF_SIGNED:
        hosts = {loopback_if_any(each.host) for each in settings.http_listen}
        path = settings.data_dir / SERVER_FILE
        try:
            ensure_server_certificate(path, hosts | {settings.announced.host}, datetime.now(UTC))
        except (ValueError, OSError) as error:
            raise RegistryError(Kind.MISCONFIGURED, f"{error}.") from error
    server_context(settings)


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what the HTTP listeners speak TLS with; None when they do not.  Raises RegistryError.

    Clients may show a certificate; one that the node's own authority did not issue ends the handshake.
    """
    if not is_on(settings):
        return None
    context = _with_certificate(settings)
    try:
        authority = Authority.load_or_make(settings.data_dir, datetime.now(UTC))
    except (ValueError, OSError) as error:
        raise RegistryError(Kind.MISCONFIGURED, f"{error}.") from error
    context.load_verify_locations(cadata=authority.certificate_pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def own_client_context(settings: Settings) -> ssl.SSLContext:
    """Return what a client on this machine speaks TLS with: it believes the node's own certificate and no other.

    By whatever address it is reached.  Raises RegistryError.
    """
    certificate, _ = files_of(settings)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=_read(certificate).decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        sentence = f"{certificate} holds no certificate in PEM."
        raise RegistryError(Kind.MISCONFIGURED, sentence) from error
    return context


def days_left(settings: Settings) -> int:
    """Return for how many days more the certificate lasts, below 0 when it is over; looks at the key too.

    A self-signed certificate that is not made yet lasts as long as those do.  Raises RegistryError.
    """
    certificate, _ = files_of(settings)
    if settings.tls_certificate == SELF_SIGNED and not certificate.exists():
        return 365
    _with_certificate(settings)
    return (read_end(_read(certificate)) - datetime.now(UTC)).days


def files_of(settings: Settings) -> tuple[Path, Path]:
    """Return where the certificate is, and its key; they may be one file."""
    if settings.tls_certificate == SELF_SIGNED:
        return settings.data_dir / SERVER_FILE, settings.data_dir / SERVER_FILE
    certificate = Path(settings.tls_certificate)
    return certificate, settings.tls_key or certificate


def _with_certificate(settings: Settings) -> ssl.SSLContext:
    certificate, key = files_of(settings)
    for path in (certificate, key):
        _read(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(PROTOCOLS)
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", "") or ""
        words = _UNREADABLE.get(reason, reason.lower().replace("_", " ") or str(error))
        files = str(certificate) if key == certificate else f"{certificate} and {key}"
        raise RegistryError(
            Kind.MISCONFIGURED,
            f"IDNODE_TLS_CERTIFICATE and IDNODE_TLS_KEY: {files} cannot be used: {words}.",
        ) from error
    return context


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RegistryError(
            Kind.MISCONFIGURED,
            f"The TLS file {path} cannot be read: {error.strerror}; see IDNODE_TLS_CERTIFICATE and IDNODE_TLS_KEY.",
        ) from error
