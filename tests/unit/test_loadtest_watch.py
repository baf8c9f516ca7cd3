"""How late an answer is, while the database comes and goes."""

from loadtest.watch import Watch


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def writing_at(*times: float, may_be_busy: bool = True) -> Watch:
    """Return a watch of a run that began at 100 s, with a write at each of these."""
    clock = _Clock()
    watch = Watch(1.0, may_be_busy=may_be_busy, clock=clock)
    for clock.now in times:
        watch.note_write()
    return watch


def test_an_answer_is_late_from_the_commit_on() -> None:
    steady = [100.1 + number / 10 for number in range(40)]

    assert writing_at(*steady).lateness(101.0, 103.0) == 2.0
    assert writing_at(may_be_busy=False).lateness(101.0, 109.0) == 8.0


def test_nothing_is_late_while_the_database_is_away() -> None:
    assert writing_at(100.1, 100.2).lateness(100.2, 103.0) < 0


def test_what_was_committed_before_an_outage_is_late_from_its_end_on() -> None:
    watch = writing_at(100.1, 100.2, 103.0, 103.3)

    assert watch.lateness(100.2, 103.5) == 0.5
    assert watch.lateness(100.2, 102.9) < 0
    assert round(watch.lateness(103.3, 103.7), 6) == 0.4


def test_the_end_of_the_writing_is_no_outage() -> None:
    watch = writing_at(100.1, 100.2, 103.0)

    watch.note_end()

    assert watch.lateness(100.2, 105.0) == 2.0
