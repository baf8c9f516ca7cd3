"""Known answers of what the ledger is built from: hashes, signatures, trees, notes, cosignatures.

Sources: the reference inputs of certificate transparency (RFC 6962 has the definition), RFC 8032 section 7.1,
GB/T 32905 (SM3) appendix A, GB/T 32918.5 (SM2) appendix A, C2SP signed-note and Go's golang.org/x/mod/sumdb/note,
a checkpoint of sum.golang.org, and aics-tlog 0.2.1, which signed the last two checkpoints with the keys of RFC 8032.
"""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from node.ledger.checkpoint import Checkpoint, Cosigner, read_checkpoint
from node.ledger.keys import SignatureType, VerifierKey
from node.ledger.note import Ed25519Signer, Note, check_ed25519, public_of, sign_ed25519, verify
from node.ledger.sm2 import CHECKS_WITH_SM2, SIGNER_ID, Sm2Signer, check_sm2
from node.ledger.tlog import EMPTY_ROOT, leaf_hash, root_from
from resolver.keys import sm

CT_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                 "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

RFC_8032 = [  # private key, public key, message, signature: tests 1 to 3
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]

C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = """\
This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""

GO_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""

SUMDB_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_NOTE = """\
go.sum database tree
35225469
vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=

— sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=
"""

AICS_NOTE = """\
log.example/msgs
8
XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=

— log.example/msgs ixF9t2nV58a/uTpQgrZeZCT2MUMgs4FVtIyc0nyIDiWChfR+mgTzW7H2UvFHzpnr0+6ceHQ5iZPPDYM/1odF7H/AIww=
— wit.example/w1 fG9NqwAAAABpUkfAIR91XEc11d7zsGMMxdOYR7aWX1h21RehmhVyIwj/BpLqTxnhwAor6HCCTn4QqhsdIcMTmwBLYXaEh2RCxTMRDw==
"""  # noqa: E501  a line is a line
AICS_SECONDS = 1_767_000_000

SM3_ANSWERS = [
    ("616263", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    ("61626364" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
]
SM2_SCALAR = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"
SM2_POINT = (
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
SM2_SIGNATURE = encode_dss_signature(
    0xF5A03B06_48D2C463_0EEAC513_E1BB81A1_5944DA38_27D5B741_43AC7EAC_EEE720B3,
    0xB1B6AA29_DF212FD8_763182BC_0D421CA1_BB9038FD_1F7F42D4_840B69C4_85BBC1AA,
)


def test_reference_leaves_of_certificate_transparency_have_their_roots() -> None:
    leaves = list(map(leaf_hash, CT_LEAVES))
    assert [root_from(leaves[:size]).hex() for size in range(9)] == CT_ROOTS
    assert EMPTY_ROOT.hex() == CT_ROOTS[0]


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_ed25519_answers_as_rfc_8032(
    secret: str, public: str, message: str, signature: str
) -> None:
    seed, key, text, signed = map(bytes.fromhex, (secret, public, message, signature))
    assert public_of(seed) == key
    assert sign_ed25519(seed, text) == signed
    assert check_ed25519(key, text, signed)
    assert not check_ed25519(key, text + b"\x00", signed)


@pytest.mark.parametrize(("data", "digest"), SM3_ANSWERS)
def test_sm3_answers_as_its_standard(data: str, digest: str) -> None:
    assert sm.sm3(bytes.fromhex(data)).hex() == digest


def test_sm2_answers_as_its_standard() -> None:
    signer = Sm2Signer("sm2.example", sm.Sm2PrivateKey.from_scalar(bytes.fromhex(SM2_SCALAR)))
    point = bytes.fromhex(SM2_POINT)
    assert signer.key == VerifierKey("sm2.example", SignatureType.SM2_SM3, point)
    assert SIGNER_ID == b"1234567812345678"
    assert check_sm2(point, b"message digest", SM2_SIGNATURE)
    assert not check_sm2(point, b"message digesT", SM2_SIGNATURE)
    note = Note("message digest\n").signed(signer.sign("message digest\n"))
    assert verify(note, [signer.key], CHECKS_WITH_SM2)


def test_note_of_the_specification_is_signed_by_its_key() -> None:
    key, note = VerifierKey.parse(C2SP_KEY), Note.parse(C2SP_NOTE.encode())
    assert str(key) == C2SP_KEY
    assert [found.key for found in verify(note, [key])] == [key]
    assert note.encode() == C2SP_NOTE.encode()


def test_signer_of_go_signs_the_same_note_here() -> None:
    signer, note = Ed25519Signer.parse(GO_SECRET), Note.parse(GO_NOTE.encode())
    assert (str(signer.key), signer.secret) == (GO_KEY, GO_SECRET)
    assert Note(note.text).signed(signer.sign(note.text)).encode() == GO_NOTE.encode()


def test_checkpoint_of_the_go_checksum_database_is_signed_by_its_key() -> None:
    note = Note.parse(SUMDB_NOTE.encode())
    verify(note, [VerifierKey.parse(SUMDB_KEY)])
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("go.sum database tree", 35_225_469)
    assert checkpoint.text == note.text


def test_checkpoint_and_cosignature_are_those_of_another_program() -> None:
    log = Ed25519Signer("log.example/msgs", bytes.fromhex(RFC_8032[0][0]))
    witness = Cosigner("wit.example/w1", bytes.fromhex(RFC_8032[1][0]))
    checkpoint = Checkpoint(log.name, 8, bytes.fromhex(CT_ROOTS[8]))
    signatures = log.sign(checkpoint.text), witness.cosign(checkpoint, AICS_SECONDS)
    assert Note(checkpoint.text).signed(*signatures).encode() == AICS_NOTE.encode()
    read = Note.parse(AICS_NOTE.encode())
    assert read_checkpoint(read, [log.key]) == checkpoint
    assert len(verify(read, [log.key, witness.key])) == 2
