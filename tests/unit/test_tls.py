"""The files of TLS: what is made, and what is wrong with them, in words."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509 import SubjectAlternativeName, load_pem_x509_certificate

from node.address import Endpoint
from node.config import Settings
from node.errors import Kind, RegistryError
from node.site import own_site
from node.tls import days_left, make_files, own_client_context, server_context
from resolver.keys.certificates import SERVER_FILE, ensure_server_certificate
from resolver.keys.files import write_new
from resolver.keys.private import KeyKind, make_private, to_pem
from resolver.wire import RsaPublicKey
from resolver.wire.constants import Transport

ENCRYPTED_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhNqpasA0dbygICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEH/OJtX//5oaXjE0WVJVYKkEgZDt
6IhNObpCLjHHoBd+494geg8B0aTOM+vEeo/WYDoeqTWcG0UFciQyIDUJa3DWkW8r
49TCq+C7xn5ZQ38Be87A7kl05eu0oUbbkqt16f6kiH6qkJiYwPKrwIehXvHhwkNF
2GzGmdqbnX11WYwWMXhnfcEU9Xftx4JTt9R4WCqHq2v+ziTYuFaBKV0LxKiflhg=
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, tls_certificate="self-signed")


def pair(directory: Path, at: datetime | None = None) -> Path:
    """A certificate and its key in one file, made at some time."""
    path = directory / "pair.pem"
    ensure_server_certificate(path, (), at or datetime.now(UTC))
    return path


def refusal(settings: Settings) -> str:
    with pytest.raises(RegistryError) as caught:
        make_files(settings)
    assert caught.value.kind is Kind.MISCONFIGURED
    return caught.value.detail


def test_plain_http_needs_no_files(tmp_path: Path) -> None:
    plain = Settings(data_dir=tmp_path)

    make_files(plain)

    assert server_context(plain) is None
    assert list(tmp_path.iterdir()) == []


def test_self_signed_certificate_is_made_for_the_addresses_listened_on(
    settings: Settings, tmp_path: Path
) -> None:
    listening = replace(settings, http_listen=(Endpoint("192.0.2.7", 443), Endpoint("0.0.0.0", 80)))

    make_files(listening)

    made = load_pem_x509_certificate((tmp_path / SERVER_FILE).read_bytes())
    names = made.extensions.get_extension_for_class(SubjectAlternativeName).value
    assert {"192.0.2.7", "127.0.0.1", "localhost"} <= {str(name.value) for name in names}
    assert own_client_context(listening).verify_mode == ssl.CERT_REQUIRED
    assert days_left(listening) in (364, 365)


def test_server_speaks_no_old_tls_and_takes_certificates_without_asking_for_them(
    settings: Settings,
) -> None:
    make_files(settings)

    context = server_context(settings)

    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_OPTIONAL
    assert len(context.get_ca_certs()) == 1


def test_missing_file_is_named(settings: Settings, tmp_path: Path) -> None:
    certificate = str(pair(tmp_path))

    assert "none.pem" in refusal(replace(settings, tls_certificate=str(tmp_path / "none.pem")))
    missing = replace(settings, tls_certificate=certificate, tls_key=tmp_path / "none.key")
    assert "none.key cannot be read: No such file" in refusal(missing)


def test_directory_and_rubbish_are_no_certificate(settings: Settings, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_bytes(b"\x00\xff")

    assert "directory" in refusal(replace(settings, tls_certificate=str(tmp_path)))
    assert "cannot be used" in refusal(replace(settings, tls_certificate=str(rubbish)))


def test_key_of_another_certificate_is_told(settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    mixed = replace(settings, tls_certificate=str(pair(tmp_path)), tls_key=pair(other))

    assert "the key is not the one of the certificate" in refusal(mixed)


def test_key_of_another_kind_is_told(settings: Settings, tmp_path: Path) -> None:
    key = tmp_path / "rsa.pem"
    write_new(key, to_pem(make_private(KeyKind.RSA)))

    mixed = replace(settings, tls_certificate=str(pair(tmp_path)), tls_key=key)

    assert "rsa.pem cannot be used" in refusal(mixed)


def test_encrypted_key_is_told_and_nobody_is_asked_for_its_password(
    settings: Settings, tmp_path: Path
) -> None:
    key = tmp_path / "encrypted.pem"
    key.write_text(ENCRYPTED_KEY, "ascii")

    encrypted = replace(settings, tls_certificate=str(pair(tmp_path)), tls_key=key)

    assert "encrypted" in refusal(encrypted)


def test_days_of_a_certificate_that_is_over_are_below_zero(
    settings: Settings, tmp_path: Path
) -> None:
    old = pair(tmp_path, datetime.now(UTC) - timedelta(days=367))

    assert days_left(replace(settings, tls_certificate=str(old))) < 0


def test_spoilt_authority_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "authority.pem").write_bytes(b"rubbish")

    assert "authority.pem" in refusal(settings)


def test_spoilt_self_signed_certificate_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / SERVER_FILE).write_bytes(b"rubbish")

    assert SERVER_FILE in refusal(settings)


@pytest.mark.parametrize(("tls", "protocol"), [(True, Transport.HTTPS), (False, Transport.HTTP)])
def test_site_record_says_which_http_is_spoken(tls: bool, protocol: Transport) -> None:
    site = own_site(Settings().announced, RsaPublicKey(65_537, 2**2047 + 1), tls=tls)

    assert [each.protocol for each in site.servers[0].interfaces] == [1, 0, protocol]
