"""Whatever is killed while a node writes: nothing acknowledged is lost, nothing is done twice, and all agree."""

from collections.abc import Sequence

import pytest

from loadtest.kill_writes import run
from loadtest.victims import Victim

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("seed", "victims"),
    [
        (1, (Victim.POSTGRES, Victim.WORKER, Victim.VALKEY, Victim.KEEPER)),
        (2, (Victim.EVERYTHING, Victim.SUPERVISOR)),
    ],
)
def test_what_was_acknowledged_is_there_once_after_a_kill(
    seed: int, victims: Sequence[Victim]
) -> None:
    assert run(len(victims), seed, victims) == []
