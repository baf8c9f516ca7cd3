"""Random and mutated messages on every port, as a stranger and as somebody without a right, change nothing."""

from contextlib import ExitStack

import pytest

from loadtest.fuzz_ports import HANDLE, fuzz, own_node

pytestmark = pytest.mark.slow

MESSAGES = 4_000
SEED = 7


def test_a_fuzzed_node_goes_on_and_its_database_is_what_it_was() -> None:
    with ExitStack() as stack:
        assert fuzz(own_node(stack), MESSAGES, SEED, HANDLE) == 0
