"""Whatever is killed while a node answers: each answer is in the ledger once, and the ledger is verified offline."""

import pytest

from loadtest.kill_ledger import run
from loadtest.victims import Victim

pytestmark = pytest.mark.slow

VICTIMS = (Victim.WORKER, Victim.KEEPER, Victim.POSTGRES, Victim.EVERYTHING, Victim.WORKER)


def test_what_was_answered_is_counted_once_after_kills() -> None:
    assert run(len(VICTIMS), 1, VICTIMS, settle=0) == []
