"""Papers of a test's two nodes: an authority, and certificates of it with any life, as PEM files."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority in a directory; its certificate is in `path`."""

    path: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @classmethod
    def make(cls, directory: Path, name: str = "authority") -> "Issuer":
        """Make one."""
        key, subject = ec.generate_private_key(ec.SECP256R1()), _name(name)
        path = directory / f"{name}.crt"
        path.write_bytes(_certificate(subject, key.public_key(), (subject, key), (-DAY, DAY * 9)))
        return cls(path, key, subject)

    def issue(self, file: str, life: tuple[timedelta, timedelta] = (-DAY, DAY * 9)) -> Path:
        """Write a key and its certificate for 127.0.0.1 into one file; `life` is counted from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        certificate = _certificate(_name(file), key.public_key(), (self.name, self.key), life)
        path = self.path.parent / f"{file}.pem"
        path.write_bytes(pem + certificate)
        return path


def _certificate(
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey],
    life: tuple[timedelta, timedelta],
) -> bytes:
    now, is_authority = datetime.now(UTC), subject == issuer[0]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0])
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + life[0])
        .not_valid_after(now + life[1])
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key()),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(_usage(is_authority=is_authority), critical=True)
    )
    return builder.sign(issuer[1], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


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


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
