"""The recorded exchanges of the native protocol, and their messages field by field."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from resolver.wire import (
    Challenge,
    Credential,
    DatagramJoiner,
    Envelope,
    ErrorAnswer,
    Flag,
    Message,
    ResolutionAnswer,
    SiteData,
    decode_answer,
)

FILES = Path(__file__).parents[1] / "conformance"
FIXTURE = FILES / "handle-fixture.ndjson"
Fields = dict[str, object]
VECTORS: dict[str, dict[str, Any]] = {
    vector["name"]: vector
    for vector in json.loads((FILES / "handle-golden.json").read_text("utf-8"))["vectors"]
}


def pieces_of(name: str, side: str) -> list[bytes]:
    """Return the recorded datagrams or frames of one side of an exchange."""
    recorded = VECTORS[name].get(f"{side}_hex", [])
    return [bytes.fromhex(each) for each in ([recorded] if isinstance(recorded, str) else recorded)]


def joined(pieces: list[bytes]) -> bytes:
    """Return the message that datagrams carry."""
    if len(pieces) == 1:
        return pieces[0]
    joiner = DatagramJoiner()
    *_, message = (joiner.add("recorded", piece, 0.0) for piece in pieces)
    assert message is not None
    return message


def fields_of(datagrams: list[bytes], messages: int = 1) -> Fields:
    """Return what a reply says, field by field; the expiration and the signature are looked at elsewhere."""
    message = Message.decode(joined(datagrams))
    envelope, header = message.envelope, message.header
    digest, answer = decode_answer(message)
    credential = Credential.decode(message.credential) if message.credential else None
    return {
        "messages": messages,
        "datagrams": len(datagrams),
        "truncated": any(Envelope.decode(each).truncated for each in datagrams),
        "version": envelope.version,
        "suggested": (envelope.suggested_major, envelope.suggested_minor),
        "session id": envelope.session_id,
        "request id": envelope.request_id,
        "encrypted": envelope.encrypted,
        "opcode": header.opcode,
        "code": header.response_code,
        "flags": Flag(header.flags),
        "site serial": header.site_serial,
        "recursion": header.recursion,
        "digest": digest,
        "signed": credential and (credential.kind, credential.hash_name, credential.counter),
        **_body_of(answer),
    }


def _body_of(answer: object) -> Fields:
    match answer:
        case ResolutionAnswer():
            return {"handle": answer.handle, "values": answer.values}
        case SiteData():
            return _site_fields(answer)
        case Challenge():
            return {"nonce": answer.nonce}
        case ErrorAnswer():
            return {"text": answer.text}
        case _:
            return {"body": answer}


def _site_fields(site: SiteData) -> Fields:
    interfaces = [each for server in site.servers for each in server.interfaces]
    return {
        "site attributes": site.attributes,
        "site key": [server.public_key for server in site.servers],
        "site ports": [each.port for each in interfaces],
        "site interfaces": [(each.kind, each.protocol) for each in interfaces],
        "site servers": [(server.server_id, server.address) for server in site.servers],
        "site": replace(site, attributes=(), servers=()),
    }


def request_of(name: str) -> bytes:
    """Return the recorded request of an exchange, as sent over a stream."""
    return b"".join(pieces_of(name, "request"))


def differences(recorded: Fields, given: Fields) -> Fields:
    """Return the fields that differ, with both contents."""
    return {
        field: (recorded.get(field), given.get(field))
        for field in {**recorded, **given}
        if recorded.get(field) != given.get(field)
    }
