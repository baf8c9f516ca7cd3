"""Handle JSON: the forms in and out of features-and-contracts §2.3, and the recorded answers."""

import base64
from pathlib import Path

import orjson
import pytest

from resolver.handlejson import HandleJsonError, site_to_json, values_from_json, values_to_json
from resolver.wire import (
    AdminData,
    DhPublicKey,
    HandleValue,
    Reference,
    SiteData,
    SiteInterface,
    SiteServer,
    decode_admin,
    decode_vlist,
    encode_admin,
    encode_public_key,
    encode_site,
    encode_vlist,
)

NOW = 1_700_000_000
URL = {"index": 1, "type": "URL", "data": {"format": "string", "value": "https://example.org/"}}


def read(item: object, *, keep_timestamps: bool = False) -> HandleValue:
    (value,) = values_from_json([item], now=NOW, keep_timestamps=keep_timestamps)
    return value


def read_data(data: object, kind: str = "X") -> bytes:
    return read({"index": 1, "type": kind, "data": data}).data


def write_data(kind: bytes, data: bytes) -> object:
    (item,) = orjson.loads(values_to_json([HandleValue(1, kind, data)]))
    return item["data"]


def test_plain_value_is_stamped_now_with_defaults() -> None:
    assert read(URL) == HandleValue(1, b"URL", b"https://example.org/", timestamp=NOW)


def test_bare_string_is_format_string() -> None:
    assert read_data("工业") == "工业".encode()


def test_output_has_the_keys_of_the_reference_in_its_order() -> None:
    value = HandleValue(
        7, b"URL", b"x", 1, 2_000_000_000, NOW, 0b1100, (Reference(b"20.500/a", 1),)
    )

    assert values_to_json([value]) == (
        b'[{"index":7,"type":"URL","data":{"format":"string","value":"x"},"permissions":"1100",'
        b'"ttl":"2033-05-18T03:33:20Z","timestamp":"2023-11-14T22:13:20Z",'
        b'"references":[{"handle":"20.500/a","index":1}]}]'
    )


def test_what_is_usual_is_left_out() -> None:
    assert values_to_json([HandleValue(1, b"URL", b"x")]) == (
        b'[{"index":1,"type":"URL","data":{"format":"string","value":"x"},"ttl":86400}]'
    )


def test_values_are_written_by_index_and_read_in_their_order() -> None:
    items = [{"index": n, "type": "X", "data": "x"} for n in (3, 1, 2)]

    values = values_from_json(items, now=NOW)

    assert [value.index for value in values] == [3, 1, 2]
    assert [item["index"] for item in orjson.loads(values_to_json(values))] == [1, 2, 3]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"format": "string", "value": ""}, b""),
        ({"format": "base64", "value": "AAEC"}, b"\0\1\2"),
        ({"format": "hex", "value": "00 01FF"}, b"\0\1\xff"),
    ],
)
def test_untyped_formats(data: object, expected: bytes) -> None:
    assert read_data(data) == expected


@pytest.mark.parametrize(
    ("permissions", "bits"),
    [
        ("111111111111", 0xFFF),
        ("010001110000", 0x470),
        ("11", 3),
        ("*", 0xFFF),
        (True, 0xFFF),
        (False, 0),
        (5, 5),
        ([True, 0, "1"], 5),
    ],
)
def test_admin_permissions_in_every_form(permissions: object, bits: int) -> None:
    admin = {"handle": "0.NA/88.1", "index": "200", "permissions": permissions}

    data = read_data({"format": "admin", "value": admin}, "HS_ADMIN")

    assert decode_admin(data) == AdminData(bits, b"0.NA/88.1", 200)


def test_legacy_admin_keeps_its_form() -> None:
    data = encode_admin(AdminData(0x470, b"0.NA/11858", 200, legacy=True))

    written = write_data(b"HS_ADMIN", data)

    assert written == {
        "format": "admin",
        "value": {
            "handle": "0.NA/11858",
            "index": 200,
            "permissions": "010001110000",
            "legacyByteLength": True,
        },
    }
    assert read_data(written) == data


def test_vlist() -> None:
    members = (Reference(b"88.1/a", 300), Reference(b"88.1/b", 301))
    written = write_data(b"HS_VLIST", encode_vlist(members))

    assert written == {
        "format": "vlist",
        "value": [{"handle": "88.1/a", "index": 300}, {"handle": "88.1/b", "index": 301}],
    }
    assert decode_vlist(read_data(written)) == members


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (bytes(12) + b"\x7f\0\0\1", "127.0.0.1"),
        (bytes(15) + b"\1", "::1"),
        (bytes(16), "0.0.0.0"),
        (b"\x20\x01\x0d\xb8" + bytes(11) + b"\1", "2001:db8::1"),
    ],
)
def test_site_addresses(address: bytes, text: str) -> None:
    server = SiteServer(1, address, b"", (SiteInterface(3, 1, 2641), SiteInterface(2, 0, 2641)))
    site = SiteData(2, 11, 1, True, False, attributes=((b"desc", b"x"),), servers=(server,))

    written = write_data(b"HS_SITE", encode_site(site))

    assert written == {"format": "site", "value": site_to_json(site)}
    assert orjson.dumps(site_to_json(site)).decode() == (
        '{"version":1,"protocolVersion":"2.11","serialNumber":1,"primarySite":true,'
        '"multiPrimary":false,"attributes":[{"name":"desc","value":"x"}],"servers":[{"serverId":1,'
        f'"address":"{text}","interfaces":[{{"query":true,"admin":true,"protocol":"TCP",'
        '"port":2641},{"query":true,"admin":false,"protocol":"UDP","port":2641}]}]}'
    )
    assert read_data(written) == encode_site(site)


def test_site_with_hash_option_and_unreadable_key_survives() -> None:
    server = SiteServer(7, bytes(16), b"\1\2", ())
    site = SiteData(2, 3, 9, False, True, hash_option=1, hash_filter=b"f", servers=(server,))

    assert read_data(write_data(b"HS_SITE", encode_site(site))) == encode_site(site)


def test_key_without_jwk_form_is_base64() -> None:
    data = encode_public_key(DhPublicKey(5, 23, 2))

    assert write_data(b"HS_PUBKEY", data) == {
        "format": "base64",
        "value": base64.b64encode(data).decode(),
    }


@pytest.mark.parametrize("kind", [b"HS_ADMIN", b"HS_VLIST", b"HS_SITE", b"hs_admin"])
def test_typed_value_with_other_data_falls_back(kind: bytes) -> None:
    assert write_data(kind, b"text") == {"format": "string", "value": "text"}
    assert write_data(kind, b"\xff\xfe") == {"format": "base64", "value": "//4="}


def test_site_with_unknown_transport_falls_back() -> None:
    server = SiteServer(1, bytes(16), b"", (SiteInterface(3, 9, 1),))
    data = encode_site(SiteData(2, 11, 1, True, False, servers=(server,)))

    assert read_data(write_data(b"HS_SITE", data)) == data


def test_secret_key_is_text() -> None:
    assert write_data(b"HS_SECKEY", b"secret-301") == {"format": "string", "value": "secret-301"}


@pytest.mark.parametrize("data", [b"\x00", b"a\x08", b"\x14", b"\x1f", b"\xff", b"\xe5\xb7"])
def test_binary_data_is_base64(data: bytes) -> None:
    assert write_data(b"DESC", data) == {
        "format": "base64",
        "value": base64.b64encode(data).decode(),
    }


@pytest.mark.parametrize("data", [b"", b"\t\r\n", b"\x13", b"\x7f", "工业".encode()])
def test_text_data_is_string(data: bytes) -> None:
    assert write_data(b"DESC", data) == {"format": "string", "value": data.decode()}


def test_name_that_is_no_utf8_is_shown_with_a_mark() -> None:
    value = HandleValue(1, b"\xff", b"", references=(Reference(b"\xff", 1),))

    (item,) = orjson.loads(values_to_json([value]))

    assert item["type"] == item["references"][0]["handle"] == "\ufffd"


def test_timestamp_is_kept_only_when_asked() -> None:
    item = URL | {"timestamp": "2023-11-14T22:13:21Z"}

    assert read(item).timestamp == NOW
    assert read(item, keep_timestamps=True).timestamp == NOW + 1
    assert read(URL, keep_timestamps=True).timestamp == NOW


@pytest.mark.parametrize(
    ("ttl", "expected"),
    [
        (0, (0, 0)),
        (3600, (0, 3600)),
        ("3600", (0, 3600)),
        ("2033-05-18T03:33:20Z", (1, 2_000_000_000)),
        ("2033-05-18T11:33:20+08:00", (1, 2_000_000_000)),
        ("2033-05-18T03:33:20", (1, 2_000_000_000)),
    ],
)
def test_ttl_is_seconds_or_a_moment(ttl: object, expected: tuple[int, int]) -> None:
    value = read(URL | {"ttl": ttl})

    assert (value.ttl_type, value.ttl) == expected


@pytest.mark.parametrize("bits", range(16))
def test_all_four_permissions_are_read(bits: int) -> None:
    value = read(URL | {"permissions": f"{bits:04b}"})

    assert value.permissions == bits
    assert orjson.loads(values_to_json([value]))[0].get("permissions", "1110") == f"{bits:04b}"


def test_references_are_read() -> None:
    value = read(URL | {"references": [{"handle": "88.1/a", "index": 2}]})

    assert value.references == (Reference(b"88.1/a", 2),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"index": 0}, "index"),
        ({"index": -1}, "index"),
        ({"index": True}, "index"),
        ({"index": 2**31}, "index"),
        ({"index": None}, "index"),
        ({"index": 1.0}, "index"),
        ({"type": ""}, "type"),
        ({"type": 5}, "type"),
        ({"type": "x" * 513}, "type"),
        ({"type": "\ud800"}, "surrogate"),
        ({"data": None}, "data is missing"),
        ({"data": 5}, "data must be an object"),
        ({"data": "x" * 262_145}, "262144"),
        ({"data": {"format": "base64", "value": "QUJD" * 87_382}}, "262144"),
        ({"data": {"format": "octal", "value": "7"}}, "octal"),
        ({"data": {"format": ["string"], "value": "7"}}, "format"),
        ({"data": {"format": "string", "value": 7}}, "string"),
        ({"data": {"format": "base64", "value": "A"}}, "base64"),
        ({"data": {"format": "base64", "value": "é"}}, "base64"),
        ({"data": {"format": "hex", "value": "0"}}, "hex"),
        ({"data": {"format": "admin", "value": []}}, "admin"),
        (
            {"data": {"format": "admin", "value": {"handle": "x", "index": 1, "permissions": "2"}}},
            "permissions",
        ),
        ({"data": {"format": "admin", "value": {"handle": "x", "permissions": "1"}}}, "index"),
        ({"data": {"format": "vlist", "value": [{"handle": 1, "index": 1}]}}, "handle"),
        ({"data": {"format": "vlist", "value": [{"handle": "x" * 2049, "index": 1}]}}, "2048"),
        ({"data": {"format": "key", "value": {"kty": "EC"}}}, "EC"),
        ({"data": {"format": "key", "value": {"kty": "RSA", "e": "?", "n": "AQAB"}}}, "base64url"),
        ({"data": {"format": "site", "value": {"protocolVersion": "x"}}}, "protocolVersion"),
        (
            {"data": {"format": "site", "value": {"servers": [{"address": "nowhere"}]}}},
            "address",
        ),
        ({"permissions": "111"}, "four characters"),
        ({"permissions": 14}, "four characters"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": "soon"}, "ttl"),
        ({"ttl": 2**31}, "ttl"),
        ({"ttl": "1066-10-14T00:00:00Z"}, "ttl"),
        ({"references": {}}, "references"),
        ({"references": ["x"]}, "reference"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(change: dict[str, object], reason: str) -> None:
    with pytest.raises(HandleJsonError, match=rf"value .*{reason}"):
        read(URL | change)


def test_timestamp_must_be_a_moment() -> None:
    with pytest.raises(HandleJsonError, match="timestamp"):
        read(URL | {"timestamp": 5}, keep_timestamps=True)


@pytest.mark.parametrize("items", [None, {}, "x", 5])
def test_anything_but_an_array_is_refused(items: object) -> None:
    with pytest.raises(HandleJsonError, match="array"):
        values_from_json(items, now=NOW)


@pytest.mark.parametrize("item", [None, [], "x", 5])
def test_anything_but_an_object_is_no_value(item: object) -> None:
    with pytest.raises(HandleJsonError, match="object"):
        values_from_json([item], now=NOW)


def test_an_index_stands_once() -> None:
    with pytest.raises(HandleJsonError, match="index 1 is used twice"):
        values_from_json([URL, URL], now=NOW)


def test_limit_of_values() -> None:
    items = [{"index": n, "type": "X", "data": ""} for n in range(1, 2050)]

    assert len(values_from_json(items[:-1], now=NOW)) == 2048
    with pytest.raises(HandleJsonError, match="2048"):
        values_from_json(items, now=NOW)


def test_empty_record() -> None:
    assert values_to_json(values_from_json([], now=NOW)) == b"[]"


RECORDED = Path(__file__).parents[1] / "conformance"
FIXTURE = [
    orjson.loads(line)
    for line in (RECORDED / "handle-fixture.ndjson").read_text("utf-8").splitlines()
]
ANSWERS = {
    vector["name"]: orjson.loads(vector["response_text"].partition("\r\n\r\n")[2])
    for vector in orjson.loads((RECORDED / "handle-golden.json").read_bytes())["vectors"]
    if vector["name"].startswith("http_json_") and '"values":[' in vector["response_text"]
}
WHOLE = ["http_json_found", "http_json_percent", "http_json_restricted", "http_json_prefix"]


@pytest.mark.parametrize("record", FIXTURE, ids=[record["handle"] for record in FIXTURE])
def test_records_of_the_reference_come_out_as_they_went_in(record: dict[str, object]) -> None:
    values = values_from_json(record["values"], now=NOW, keep_timestamps=True)

    assert values_to_json(values) == orjson.dumps(record["values"])


@pytest.mark.parametrize("name", [*WHOLE, "http_json_by_type", "http_json_by_index"])
def test_recorded_answers_byte_for_byte(name: str) -> None:
    answer = ANSWERS[name]
    (record,) = [each for each in FIXTURE if each["handle"] == answer["handle"]]
    values = values_from_json(record["values"], now=NOW, keep_timestamps=True)
    shown = {item["index"] for item in answer["values"]}

    written = values_to_json([value for value in values if value.index in shown])

    assert written == orjson.dumps(answer["values"])
    assert name not in WHOLE or shown == {value.index for value in values if value.is_public}
