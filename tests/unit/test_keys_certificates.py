"""Certificates: one authority a directory, what it issues passes TLS, and what a client shows is read or refused."""

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

from resolver.keys.certificates import (
    AUTHORITY_CERTIFICATE_FILE,
    AUTHORITY_FILE,
    Authority,
    ensure_server_certificate,
    read_identity,
    read_peer_certificate,
)
from resolver.keys.private import KeyKind, PrivateKey, make_private, public_half, to_pem

NOW = datetime.now(UTC)  # TLS asks the true clock
ADMIN = "300:88.1/ADMIN"


@pytest.fixture(scope="module")
def private() -> PrivateKey:
    return make_private(KeyKind.RSA)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


def self_signed(subject: x509.Name, key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """A certificate as Handle.Net's tools make them, in DER."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def uid(*texts: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.USER_ID, text) for text in texts])


def test_authority_is_made_once_and_its_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    made = Authority.load_or_make(tmp_path, NOW)
    assert Authority.load_or_make(tmp_path, NOW).certificate_pem == made.certificate_pem
    assert mode(tmp_path / AUTHORITY_FILE) == 0o600
    assert (tmp_path / AUTHORITY_CERTIFICATE_FILE).read_text() == made.certificate_pem
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authority.crt", "authority.pem"]


def test_one_authority_wins_when_many_start_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(lambda _: Authority.load_or_make(tmp_path, NOW).certificate_pem, range(8))
    assert len(set(made)) == 1


def test_spoilt_authority_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / AUTHORITY_FILE).write_text("no key\n")
    with pytest.raises(ValueError, match=r"authority\.pem.*move it away"):
        Authority.load_or_make(tmp_path, NOW)
    assert (tmp_path / AUTHORITY_FILE).read_text() == "no key\n"


def test_issued_certificate_says_whose_key_it_is(tmp_path: Path, private: PrivateKey) -> None:
    issued = Authority.load_or_make(tmp_path, NOW).issue(ADMIN, private, NOW, days=30)
    peer = read_peer_certificate(der(issued))
    assert (peer.index, peer.handle, peer.key) == (300, b"88.1/ADMIN", public_half(private))


@pytest.mark.parametrize("kind", [KeyKind.DSA, KeyKind.SM2])
def test_no_certificate_is_issued_for_a_key_that_tls_does_not_take(
    tmp_path: Path, kind: KeyKind
) -> None:
    with pytest.raises(ValueError, match="RSA"):
        Authority.load_or_make(tmp_path, NOW).issue(ADMIN, make_private(kind), NOW, days=30)


@pytest.mark.parametrize(("identity", "days"), [("", 30), ("300:", 30), (ADMIN, 0), (ADMIN, 9999)])
def test_no_certificate_is_issued_to_nobody_or_forever(
    tmp_path: Path, private: PrivateKey, identity: str, days: int
) -> None:
    with pytest.raises(ValueError, match=r"identity|lives"):
        Authority.load_or_make(tmp_path, NOW).issue(identity, private, NOW, days)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes | None:
    """Shake hands over a socket pair; return the client's certificate as the server was shown it."""
    near, far = socket.socketpair()
    near.settimeout(10)
    far.settimeout(10)
    shown: list[bytes | None] = []

    def serve() -> None:
        try:
            with server.wrap_socket(near, server_side=True) as stream:
                shown.append(stream.getpeercert(binary_form=True))
                stream.sendall(b"!")
        except OSError:
            near.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(far, server_hostname="localhost") as stream:
            stream.recv(1)
    finally:
        far.close()
        thread.join(10)
    return shown[0] if shown else None


@pytest.fixture
def server(tmp_path: Path) -> ssl.SSLContext:
    """TLS as the node speaks it: its self-signed certificate; clients may show one of its authority."""
    ensure_server_certificate(tmp_path / "self-signed.pem", [], NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "self-signed.pem")
    context.load_verify_locations(cadata=Authority.load_or_make(tmp_path, NOW).certificate_pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@pytest.fixture
def client(tmp_path: Path, server: ssl.SSLContext) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(tmp_path / "self-signed.pem"))


def test_issued_certificate_passes_the_handshake(
    tmp_path: Path, server: ssl.SSLContext, client: ssl.SSLContext, private: PrivateKey
) -> None:
    issued = Authority.load_or_make(tmp_path, NOW).issue(ADMIN, private, NOW, days=30)
    (tmp_path / "client.pem").write_bytes(to_pem(private) + issued)
    client.load_cert_chain(tmp_path / "client.pem")
    assert handshake(server, client) == der(issued)


def test_client_without_a_certificate_passes_the_handshake(
    server: ssl.SSLContext, client: ssl.SSLContext
) -> None:
    assert handshake(server, client) is None


def test_certificate_of_handle_net_is_refused_in_the_handshake(
    tmp_path: Path, server: ssl.SSLContext, client: ssl.SSLContext, private: PrivateKey
) -> None:
    assert isinstance(private, rsa.RSAPrivateKey)
    certificate = ssl.DER_cert_to_PEM_cert(self_signed(uid(ADMIN), private))
    (tmp_path / "client.pem").write_bytes(to_pem(private) + certificate.encode())
    client.load_cert_chain(tmp_path / "client.pem")
    with pytest.raises(OSError, match=r"alert|reset|EOF"):
        handshake(server, client)


def test_server_certificate_is_kept_and_made_anew_for_another_host_or_near_its_end(
    tmp_path: Path,
) -> None:
    path = tmp_path / "self-signed.pem"
    ensure_server_certificate(path, ["node.example", "192.0.2.7"], NOW)
    first = path.read_bytes()
    assert mode(path) == 0o600
    ensure_server_certificate(path, ["192.0.2.7"], NOW + timedelta(days=300))
    assert path.read_bytes() == first
    ensure_server_certificate(path, ["192.0.2.7"], NOW + timedelta(days=340))
    second = path.read_bytes()
    assert second != first
    ensure_server_certificate(path, ["192.0.2.8"], NOW + timedelta(days=340))
    assert path.read_bytes() != second
    assert [file.name for file in tmp_path.iterdir()] == ["self-signed.pem"]


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        (ADMIN, (300, b"88.1/ADMIN")),
        ("0.NA/88.1", (0, b"0.NA/88.1")),
        ("300:88.1/a:b", (300, b"88.1/a:b")),
        ("bid:88.1/x", (0, b"bid:88.1/x")),
        ("4294967295:88.1/管理", (4294967295, "88.1/管理".encode())),
    ],
)
def test_identity_is_an_index_and_a_handle(text: str, identity: tuple[int, bytes]) -> None:
    assert read_identity(text) == identity


@pytest.mark.parametrize("text", ["", "300:", "4294967296:88.1/x", "9" * 5000 + ":88.1/x"])
def test_what_is_no_identity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no identity"):
        read_identity(text)


def test_certificate_that_names_nobody_or_two_is_refused(private: PrivateKey) -> None:
    assert isinstance(private, rsa.RSAPrivateKey)
    for subject in (x509.Name([]), uid(ADMIN, ADMIN)):
        with pytest.raises(ValueError, match="names nobody"):
            read_peer_certificate(self_signed(subject, private))


def test_certificate_with_a_key_of_another_kind_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ValueError, match="no RSA key"):
        read_peer_certificate(self_signed(uid(ADMIN), key))


def test_certificate_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_peer_certificate(b"\x30\x03\x02\x01\x01")


def test_authority_issues_server_and_client_certificates_for_names(tmp_path: Path) -> None:
    authority = Authority.load_or_make(tmp_path, NOW)
    server = authority.issue_server(["localhost", "192.0.2.1"], NOW, 30)
    client = authority.issue_client("88.118", NOW, 30)
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem.encode())
    for pem in (server, client):
        certificate = x509.load_pem_x509_certificate(pem)
        certificate.verify_directly_issued_by(issuer)
        assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc
        assert (
            serialization.load_pem_private_key(pem, None).public_key() == certificate.public_key()
        )
    names = x509.load_pem_x509_certificate(server).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost"]
    subject = x509.load_pem_x509_certificate(client).subject
    assert [each.value for each in subject.get_attributes_for_oid(NameOID.USER_ID)] == ["88.118"]


def test_authority_issues_a_certificate_that_has_ended_for_those_who_try_it(tmp_path: Path) -> None:
    authority = Authority.load_or_make(tmp_path, NOW)
    ended = x509.load_pem_x509_certificate(authority.issue_server(["localhost"], NOW, -1))
    assert ended.not_valid_before_utc < ended.not_valid_after_utc < NOW
