"""Certificates: the node's own authority, what it issues, and what is read of a certificate that a client shows.

A client certificate says who may administrate: its subject's UID is `300:88.1/ADMIN`, and its key is the RSA key whose
public half stands in that HS_PUBKEY value.  So taking the value away takes the certificate's power away.  Handle.Net's
own client certificates are signed by themselves and refused by Python's ssl during the handshake: hence the authority.

The authority is one PEM file with its key and its certificate in the data directory, so that no process ever sees one
without the other; its certificate lies beside it, for those who check.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from resolver.keys.files import read_key_file, replace, write_unless_there
from resolver.keys.private import PrivateKey, dsa_numbers, rsa_numbers
from resolver.wire import DsaPublicKey, RsaPublicKey
from resolver.wire.constants import MAX_U32

AUTHORITY_FILE = "authority.pem"
AUTHORITY_CERTIFICATE_FILE = "authority.crt"
SERVER_FILE = "self-signed.pem"
LIFE_OF_AUTHORITY = timedelta(days=3_650)
LIFE_OF_SERVER = timedelta(days=365)
MAX_CLIENT_DAYS = 3_650

MAX_INDEX_DIGITS = 10

_LOCALHOST = ("localhost", "127.0.0.1", "::1")
_NO_PAIR = "does not hold a key and its certificate as made here; move it away to have them made"
_PUBLIC_MODE = 0o644
_SLACK = timedelta(minutes=5)  # clocks differ
_RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a client's certificate says: whose key it is, and which."""

    handle: bytes
    index: int  # 0: any key of the handle
    key: RsaPublicKey | DsaPublicKey


class Authority:
    """Issues certificates to this node's administrators."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        """Wrap a key and its certificate; use `load_or_make`."""
        self._key = key
        self._certificate = certificate

    @classmethod
    def load_or_make(cls, directory: Path, now: datetime) -> "Authority":
        """Read the authority of a data directory, or make it.

        Several processes may start at once: one authority wins, all read that one.  Raises ValueError for a file that
        is none, OSError.
        """
        path = directory / AUTHORITY_FILE
        if not path.exists():
            write_unless_there(path, _make_authority(now))
        authority = cls(*_read_pair(path))
        beside = directory / AUTHORITY_CERTIFICATE_FILE
        write_unless_there(beside, authority.certificate_pem.encode(), _PUBLIC_MODE)
        return authority

    @property
    def certificate_pem(self) -> str:
        """The authority's certificate, against which TLS checks those of clients."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, identity: str, private: PrivateKey, now: datetime, days: int) -> bytes:
        """Return a client certificate (PEM) that says whose private key this is, such as `300:88.1/ADMIN`.

        Raises ValueError for a key that TLS cannot use, a life that is not allowed, or no identity.
        """
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError("a client certificate needs an RSA key; TLS takes no DSA, and no SM2")
        if not 0 < days <= MAX_CLIENT_DAYS:
            raise ValueError(f"a certificate lives 1 to {MAX_CLIENT_DAYS} days, not {days}")
        read_identity(identity)
        subject = x509.Name([x509.NameAttribute(NameOID.USER_ID, identity)])
        end = min(now + timedelta(days=days), self._certificate.not_valid_after_utc)
        builder = _builder(subject, private.public_key(), now, end, is_authority=False)
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(purpose, critical=False)
        return _sign(builder, self._certificate.subject, self._key)

    def issue_server(self, hosts: Iterable[str], now: datetime, days: int) -> bytes:
        """Return a new key and its certificate (PEM) for names and addresses; of negative days one that has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host) for host in sorted(set(hosts))])
        purpose = ExtendedKeyUsageOID.SERVER_AUTH
        return self._issue_pair(key, _name("idnode"), purpose, _Life.of(now, days), names)

    def issue_client(self, name: str, now: datetime, days: int) -> bytes:
        """Return a new key and a client certificate (PEM) whose subject's UID is this, such as `88.118`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.USER_ID, name)])
        return self._issue_pair(key, subject, ExtendedKeyUsageOID.CLIENT_AUTH, _Life.of(now, days))

    def _issue_pair(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        purpose: x509.ObjectIdentifier,
        life: "_Life",
        names: x509.SubjectAlternativeName | None = None,
    ) -> bytes:
        builder = _builder(subject, key.public_key(), life.start, life.end, is_authority=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return _key_pem(key) + _sign(builder, self._certificate.subject, self._key)


class _Life(NamedTuple):
    """From when to when a certificate is good."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, now: datetime, days: int) -> "_Life":
        end = now + timedelta(days=days)
        return cls(min(now, end - timedelta(days=1)), end)


def ensure_server_certificate(path: Path, hosts: Iterable[str], now: datetime) -> None:
    """See that a file holds a self-signed server certificate and its key (PEM), for development.

    `hosts` are names and addresses beside localhost.  What is there is kept, and made anew 30 days before its end or
    when it lacks a host; call it before several processes read the file.  Raises ValueError for a file that is none,
    OSError.
    """
    wanted = {_general_name(host) for host in (*_LOCALHOST, *hosts)}
    if not path.exists():
        write_unless_there(path, _make_server(wanted, now))
    _, certificate = _read_pair(path)
    if not wanted <= _hosts(certificate) or certificate.not_valid_after_utc < now + _RENEW_BEFORE:
        replace(path, _make_server(wanted, now))


def read_peer_certificate(der: bytes) -> PeerCertificate:
    """Read the certificate of a client, which TLS has checked.

    Raises ValueError when it cannot be read, names nobody, or has a key that no HS_PUBKEY value holds.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"the client certificate cannot be read: {error}") from error
    if len(names) != 1 or not isinstance(names[0].value, str):
        raise ValueError(
            "the client certificate names nobody: its subject needs one UID, as in 300:88.1/ADMIN"
        )
    index, handle = read_identity(names[0].value)
    match key:
        case rsa.RSAPublicKey():
            return PeerCertificate(handle, index, rsa_numbers(key))
        case dsa.DSAPublicKey():
            return PeerCertificate(handle, index, dsa_numbers(key))
    raise ValueError("the key of the client certificate is no RSA key, so it stands in no record")


def read_identity(text: str) -> tuple[int, bytes]:
    """Return index and handle of `300:88.1/ADMIN`; without a number in front the index is 0, any key of the handle.

    Raises ValueError.
    """
    before, colon, after = text.partition(":")
    has_index = bool(colon) and before.isascii() and before.isdigit()
    index, handle = (before, after) if has_index else ("0", text)
    if not handle or len(index) > MAX_INDEX_DIGITS or int(index) > MAX_U32:
        raise ValueError(f"{text:.80} is no identity, such as 300:88.1/ADMIN")
    return int(index), handle.encode()


def _make_authority(now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    # The number tells two authorities apart in the lists of browsers and clients.
    name = _name(f"idnode authority {x509.random_serial_number() % 10**8:08}")
    builder = _builder(name, key.public_key(), now, now + LIFE_OF_AUTHORITY, is_authority=True)
    return _key_pem(key) + _sign(builder, name, key)


def _make_server(hosts: set[x509.GeneralName], now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("idnode, self-signed")
    builder = _builder(name, key.public_key(), now, now + LIFE_OF_SERVER, is_authority=False)
    others = x509.SubjectAlternativeName(hosts)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(others, critical=False).add_extension(purpose, critical=False)
    return _key_pem(key) + _sign(builder, name, key)


def _builder(
    subject: x509.Name,
    key: CertificatePublicKeyTypes,
    now: datetime,
    end: datetime,
    *,
    is_authority: bool,
) -> x509.CertificateBuilder:
    """Return what all our certificates have, signature and purpose excepted."""
    length = 0 if is_authority else None
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=length), critical=True)
        .add_extension(_usage(is_authority=is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _sign(
    builder: x509.CertificateBuilder, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> bytes:
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.issuer_name(issuer).add_extension(authority, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _read_pair(path: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    pem = read_key_file(path)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
        certificate = x509.load_pem_x509_certificate(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{path} {_NO_PAIR}") from error
    if (
        not isinstance(key, ec.EllipticCurvePrivateKey)
        or certificate.public_key() != key.public_key()
    ):
        raise ValueError(f"{path} {_NO_PAIR}")
    return key, certificate


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _hosts(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return set(names.value)


def read_end(pem: bytes) -> datetime:
    """Return when the first certificate of a PEM file ends.  Raises ValueError when there is none."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc
