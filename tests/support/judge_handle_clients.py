"""Run the integration suites of pyhandle and b2handle, the public Python clients of the Handle JSON API.

Their wheels hold their own integration tests, which read one file of values when they are imported; it is written
here.  Runs in the environment of the judges (`tests/judges/requirements.txt`), so it needs nothing of ours:

    .judges/bin/python tests/support/judge_handle_clients.py --print-records --prefix 21.T14999 > records.ndjson
    idnode load records.ndjson
    .judges/bin/python tests/support/judge_handle_clients.py --url http://127.0.0.1:8000 --prefix 21.T14999

The administrator of those records must be one of the server (`IDNODE_SERVER_ADMINS=300:21.T14999/ADMIN`): the suites
write records whose administrator is somebody else, and change them again.

The last line of the output is `N passed, M failed`; the exit code is 1 when a test failed or a suite shrank.
"""

import argparse
import json
import sys
import unittest
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

VALUES_FILE = "tests/resources/testvalues_for_integration_tests_IGNORE.json"
TESTS = "tests.testcases.handleclient"
CLIENTS = ("pyhandle", "b2handle")
SUITES = {  # suite: how many of its tests pass, all but the excluded ones
    "pyhandle read": 12,
    "pyhandle write": 14,
    "pyhandle search": 7,
    "b2handle read": 12,
    "b2handle write": 16,
    "b2handle 10320loc_write": 13,
    "b2handle search": 7,
}
_CLIENT_RAISES = "expects None, and the client now raises for a handle that is not there"
_NO_SUCH_ARGUMENT = "calls the client with an argument that it has dropped"
EXCLUDED = {
    "pyhandle read test_global_resolve": "asks hdl.handle.net, so it needs the internet",
    "pyhandle write test_delete_handle_inexistent": _CLIENT_RAISES,
    "pyhandle write test_register_handle": _NO_SUCH_ARGUMENT,
    "pyhandle write test_generate_and_register_handle": _NO_SUCH_ARGUMENT,
    "b2handle read test_global_resolve": "asks hdl.handle.net, so it needs the internet",
    "b2handle write test_delete_handle_inexistent": _CLIENT_RAISES,
}
ADMIN_INDEX = 300


def main() -> int:
    """Print the records that the suites need, or run the suites."""
    options = _options()
    if options.print_records:
        for record in records(options.prefix, options.password):
            sys.stdout.write(json.dumps(record) + "\n")
        return 0
    for client in CLIENTS:
        _prepare(client, options)
    results = {suite: _judge(suite) for suite in SUITES}
    failed = 0
    for suite, (passed, failures) in results.items():
        failed += failures
        sys.stdout.write(f"{suite}: {passed} passed, {failures} failed\n")
        if passed != SUITES[suite]:
            sys.stdout.write(f"{suite}: {SUITES[suite]} should have passed\n")
            failed += not failures
    for name, reason in EXCLUDED.items():
        sys.stdout.write(f"excluded: {name}: {reason}\n")
    sys.stdout.write(f"{sum(passed for passed, _ in results.values())} passed, {failed} failed\n")
    return 1 if failed else 0


def records(prefix: str, password: str) -> Iterator[dict[str, object]]:
    """Yield the records that must be loaded first, in Handle JSON."""
    admin = {"handle": f"{prefix}/ADMIN", "index": ADMIN_INDEX, "permissions": "011111110011"}
    owner = _value(100, "HS_ADMIN", {"format": "admin", "value": admin})
    secret = {**_value(ADMIN_INDEX, "HS_SECKEY", password), "permissions": "1100"}
    tests = [(111, "TEST1", "val1"), (2222, "TEST2", "val2"), (333, "TEST3", "val3"), (4, "TEST4", "val4")]  # fmt: skip
    yield {"handle": f"0.NA/{prefix}", "values": [owner]}
    yield {"handle": f"{prefix}/ADMIN", "values": [owner, secret]}
    yield {"handle": f"{prefix}/READTEST", "values": [owner, *[_value(*test) for test in tests]]}


def _value(index: int, value_type: str, data: object) -> dict[str, object]:
    return {"index": index, "type": value_type, "data": data, "ttl": 86_400}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--url", default="http://127.0.0.1:8000", help="of the node's HTTP listener"
    )
    parser.add_argument("--prefix", default="21.T14999", help="that the node homes")
    parser.add_argument("--password", default="password", help="of 300:PREFIX/ADMIN")
    parser.add_argument(
        "--print-records", action="store_true", help="print what to load first, and stop"
    )
    return parser.parse_args()


def _prepare(client: str, options: argparse.Namespace) -> None:
    _write_values(client, options)
    _default_to_rest(import_module(f"{client}.clientcredentials").PIDClientCredentials)


def _judge(name: str) -> tuple[int, int]:
    """Run one suite; return how many tests passed and failed."""
    client, part = name.split()
    loaded = unittest.defaultTestLoader.loadTestsFromName(
        f"{client}.{TESTS}_{part}_integration_test"
    )
    suite = unittest.TestSuite(
        test for test in _tests(loaded) if f"{name} {test.id().rpartition('.')[2]}" not in EXCLUDED
    )
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
    failures = len(result.failures) + len(result.errors)
    return result.testsRun - failures - len(result.skipped), failures


def _default_to_rest(credentials: type) -> None:
    """Four tests forget the argument that newer clients demand."""
    original = vars(credentials)["__init__"]

    def init(self: object, **arguments: object) -> None:
        original(self, **{"client": "rest", **arguments})

    setattr(credentials, "__init__", init)  # noqa: B010 - mypy does not let a method be replaced


def _tests(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _tests(test)
        else:
            yield test


def _write_values(client: str, options: argparse.Namespace) -> None:
    """Write the file of values that the suites read, with the names that they expect in it."""
    prefix, url = options.prefix, options.url
    user = {"username": f"{ADMIN_INDEX}:{prefix}/ADMIN", "password": options.password}
    values = {
        "user": user["username"],
        "password": user["password"],
        "handle_server_url_read": url,
        "handle_server_url_write": url,
        "url_extension_REST_API": "/api/handles/",
        "reverselookup_username": user["username"],
        "reverselookup_password": user["password"],
        "reverselookup_baseuri": url,
        "reverselookup_baseuri_wrong": f"{url}/nowhere",
        "reverselookup_url_extension": "/hrls/handles/",
        "handle_for_read_tests": f"{prefix}/READTEST",
        "handle_for_read_tests_with_10320LOC": f"{prefix}/READTEST-LOC",
        "handle_for_read_tests_without_10320LOC": f"{prefix}/READTEST",
        "handle_globally_resolvable": "20.1000/100",
        "handle_to_be_created": f"{prefix}/NEWHANDLE",
        "handle_to_be_modified": f"{prefix}/WRITETEST",
        "handle_to_be_modified_with_10320LOC": f"{prefix}/WRITETEST-LOC",
        "handle_to_be_modified_without_10320LOC": f"{prefix}/WRITETEST",
        "HTTPS_verify": True,
    }
    spec = find_spec(client)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{client} is not installed here; run `make judges`")
    (Path(spec.origin).parent / VALUES_FILE).write_text(json.dumps(values), "utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
