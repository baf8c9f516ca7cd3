"""Client, ledger and Prometheus count one number over UDP, TCP and HTTP, and the ledger is verified offline."""

import pytest

from loadtest.million import run

pytestmark = pytest.mark.slow


def test_three_counts_are_one() -> None:
    assert run(6_001, 2, count_loopback=True) == []
