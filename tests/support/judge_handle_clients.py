"""Run the read suites of pyhandle and b2handle, the public Python clients of the Handle JSON API, against a node.

Their wheels hold their own integration tests, which read one file of values when they are imported; it is written
here.  Runs in the environment of the judges (`tests/judges/requirements.txt`), so it needs nothing of ours:

    .judges/bin/python tests/support/judge_handle_clients.py --print-records --prefix 21.T14999 > records.ndjson
    idnode load records.ndjson
    .judges/bin/python tests/support/judge_handle_clients.py --url http://127.0.0.1:8000 --prefix 21.T14999

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

FEWEST_PASSES = 12  # of each suite's 13, all but the excluded one
VALUES_FILE = "tests/resources/testvalues_for_integration_tests_IGNORE.json"
READ_SUITE = "tests.testcases.handleclient_read_integration_test"
CLIENTS = ("pyhandle", "b2handle")
EXCLUDED = {"test_global_resolve": "asks hdl.handle.net, so it needs the internet"}
ADMIN_INDEX = 300


def main() -> int:
    """Print the records that the suites need, or run the suites."""
    options = _options()
    if options.print_records:
        for record in records(options.prefix, options.password):
            sys.stdout.write(json.dumps(record) + "\n")
        return 0
    results = {client: _judge(client, options) for client in CLIENTS}
    failed = 0
    for client, (passed, failures) in results.items():
        failed += failures
        sys.stdout.write(f"{client} read suite: {passed} passed, {failures} failed\n")
        if passed < FEWEST_PASSES:
            sys.stdout.write(f"{client}: fewer than {FEWEST_PASSES} passed\n")
            failed += not failures
    for name, reason in EXCLUDED.items():
        sys.stdout.write(f"excluded in each: {name}: {reason}\n")
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


def _judge(client: str, options: argparse.Namespace) -> tuple[int, int]:
    """Run the suite of one client; return how many tests passed and failed."""
    _write_values(client, options)
    credentials = import_module(f"{client}.clientcredentials")
    _default_to_rest(credentials.PIDClientCredentials)
    suite = unittest.TestSuite(
        test
        for test in _tests(unittest.defaultTestLoader.loadTestsFromName(f"{client}.{READ_SUITE}"))
        if test.id().rpartition(".")[2] not in EXCLUDED
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
