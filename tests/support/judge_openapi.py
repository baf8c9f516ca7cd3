"""Ask a node all that its OpenAPI documents allow, and much that they do not (schemathesis).  Part of `make judges`.

First as a stranger, with anything; then as an administrator, with what may change records of a prefix that is homed;
then as administrator at the admin listener, with anything, and with steps of a few enterprises and what is theirs.  No
answer may have a status that the document does not have.  Longer, and with other requests (`make campaign`):

    .venv/bin/python -m tests.support.judge_openapi --seconds 600 --seed 7
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from node.web.examples import example
from tests.support.judged import ADMIN, PASSWORD, PREFIX, Judged, judged_node
from tests.support.nodes import ROOT

CONFIG = ROOT / "tests" / "judges" / "schemathesis.toml"
CHECKS = "not_a_server_error,status_code_conformance"
NAMES = ("st-1", "st-2", "ST-1", "st 3?", "st/4", "产品")
SECONDS, SEED = 20, 1  # of each of the four, in `make judges`
PATHS = ("/api/handles", "/api/handles/{handle}", "/hrls/handles", "/{handle}")
CONDITIONS = (
    "If-Match",
    "If-None-Match",
    "Idempotency-Key",
)  # hardly any write passes them by chance
VALUE = {
    "type": "object",
    "required": ["index", "type", "data"],
    "properties": {
        "index": {"enum": [1, 2, 3]},
        "type": {"enum": ["URL", "EMAIL", "HS_SECKEY"]},
        "data": {"type": "string"},
    },
}
OBJECTS = {  # ids that mean something, by the first segment of the path
    "enterprises": ("e1", "e2"),
    "prefixes": ("88.118.8", "88.118.9"),
    "templates": ("88.118.8/META_BEARING|1.0",),
    "applications": ("e1|轴承追溯", "|轴承追溯"),
    "operator": (),
    "routes": (),
}
MAX_EXAMPLES = 1_000_000  # of one operation: the time is what ends it
GRACE_SECONDS = 120

_FORMS = {
    "enterprise": "Entity",
    "verification": "Verification",
    "template": "Template",
    "application": "Application",
    "operator": "Operator",
    "routes": "Routes",
}

Json = dict[str, Any]


def main() -> int:
    """Start a node, judge it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each of the four runs")
    parser.add_argument("--seed", type=int, default=SEED, help="of the requests")
    options = parser.parse_args()
    with judged_node() as lent:
        return judge_documents(lent, options.seconds, options.seed)


def judge_documents(lent: Judged, seconds: int = SECONDS, seed: int = SEED) -> int:
    """Judge a node by its own documents; return 1 when an answer was not as announced."""
    public, admin = (httpx.get(f"{url}/openapi.json", trust_env=False).json() for url in lent)
    known = ("--auth", f"{ADMIN.replace(':', '%3A')}:{PASSWORD}")
    ways: tuple[tuple[str, Json, tuple[str, ...]], ...] = (
        (lent.public, public, ()),
        (lent.public, narrowed(public), ("--mode", "positive", *known)),
        (lent.admin, admin, known),
        (lent.admin, stepping(admin), ("--mode", "positive", *known)),
    )
    _admit(lent.admin)
    with TemporaryDirectory() as directory:
        file = Path(directory) / "openapi.json"
        failed = []
        for url, document, words in ways:
            file.write_text(json.dumps(document), "utf-8")
            failed.append(_run(url, file, seconds, seed, *words))
    sys.stdout.write(f"schemathesis: {failed.count(False)} passed, {failed.count(True)} failed\n")
    return int(any(failed))


def narrowed(document: Json) -> Json:
    """Return the document of those requests that have a chance to change a record, or to see it."""
    found: Json = json.loads(json.dumps(document))
    found["paths"] = {path: found["paths"][path] for path in PATHS}
    for operation in _operations(found):
        operation["parameters"] = [
            {**each, "schema": _narrow(each)}
            for each in operation.get("parameters", ())
            if each["name"] not in CONDITIONS
        ]
    body = found["paths"]["/api/handles/{handle}"]["put"]["requestBody"]["content"]
    body["application/json"]["schema"] = {"type": "array", "items": VALUE, "maxItems": 3}
    return found


def stepping(document: Json) -> Json:
    """Return the document of those requests that have a chance to take a step of an object: forms are those shown."""
    found: Json = json.loads(json.dumps(document))
    found["paths"] = {path: each for path, each in found["paths"].items() if _noun(path) in OBJECTS}
    for path, methods in found["paths"].items():
        for operation in methods.values():
            operation["parameters"] = [
                {**each, "schema": {"enum": _ids(each["name"], _noun(path))}}
                for each in operation.get("parameters", ())
                if each["name"] in ("id", "enterprise")
            ]
    schemas = found["components"]["schemas"]
    for name, schema in _FORMS.items():
        schemas[schema] = {"enum": [example(name)]}
    schemas["PrefixApplication"]["properties"]["prefix"] = {"enum": OBJECTS["prefixes"]}
    schemas["PrefixApplication"]["properties"]["enterprise"] = {"enum": OBJECTS["enterprises"]}
    return found


def _admit(admin: str) -> None:
    """Have an enterprise approved, with a prefix that waits: there are steps to take."""
    who = httpx.BasicAuth(ADMIN.replace(":", "%3A"), PASSWORD)
    one = "/v1/enterprises/e1"
    with httpx.Client(base_url=admin, auth=who, trust_env=False) as client:
        for method, path, body in (
            ("POST", "/v1/enterprises?id=e1", example("enterprise")),
            ("PUT", f"{one}/verification", example("verification")),
            ("POST", f"{one}/steps", {"action": "begin_review"}),
            ("POST", f"{one}/steps", {"action": "approve"}),
            ("POST", "/v1/prefixes", example("prefix")),
        ):
            client.request(method, path, json=body).raise_for_status()


def _noun(path: str) -> str:
    return path.removeprefix("/v1/").partition("/")[0]


def _ids(parameter: str, noun: str) -> tuple[str, ...]:
    return OBJECTS["enterprises" if parameter == "enterprise" else noun]


def _operations(document: Json) -> Iterator[Json]:
    for path in document["paths"].values():
        yield from path.values()


def _narrow(parameter: Json) -> Json:
    match parameter["name"]:
        case "handle":
            return {"enum": [f"{PREFIX}/{name}" for name in NAMES]}
        case "prefix":
            return {"enum": [PREFIX]}
        case "index":
            return {"type": "array", "items": {"enum": ["1", "2", "various"]}, "maxItems": 1}
    schema: Json = parameter["schema"]
    return schema


def _run(url: str, document: Path, seconds: int, seed: int, *words: str) -> bool:
    """Run schemathesis once; true when it found something."""
    sys.stdout.flush()
    command: tuple[str | Path, ...] = (
        *(Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG),
        *("run", document, "--url", url, "--checks", CHECKS, "--phases", "coverage,fuzzing"),
        *("--seed", str(seed), "--max-time", str(seconds), "--max-examples", str(MAX_EXAMPLES)),
        *words,
    )
    limit = seconds + GRACE_SECONDS
    done = subprocess.run(command, cwd=document.parent, timeout=limit, check=False)
    return done.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
