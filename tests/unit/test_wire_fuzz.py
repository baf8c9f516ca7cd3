"""The fuzzer itself: it repeats itself by its seed, reaches the inner decoders, and reports in one line."""

import pytest

from loadtest.fuzz_codec import FuzzError, Mutator, decode_everything, main, read_corpus, run
from resolver.wire import WireError


def test_run_repeats_itself_by_its_seed() -> None:
    first, again, other = run(300, 1), run(300, 1), run(300, 2)

    assert (first.parsed, first.framed) == (again.parsed, again.framed)
    assert (first.parsed, first.framed) != (other.parsed, other.framed)


def test_mutated_messages_are_neither_all_refused_nor_all_parsed() -> None:
    tally = run(500, 3)

    assert tally.parsed > 50
    assert tally.refused > 50
    assert tally.framed > 50


def test_corpus_itself_is_parsed() -> None:
    refused = 0
    for message in read_corpus():
        try:
            decode_everything(message)
        except WireError:
            refused += 1

    assert refused < 40  # datagrams of split messages, and the recorded faults


def test_pieces_of_a_message_are_the_message() -> None:
    mutator = Mutator(read_corpus(), 5)
    data = mutator.make()
    assert b"".join(mutator.pieces(data)) == data


def test_run_reports_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--messages", "200", "--seed", "4"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("200 messages in ")
    assert line.endswith("no finding\n")


def test_finding_is_an_error_of_its_own() -> None:
    assert not issubclass(FuzzError, WireError)
