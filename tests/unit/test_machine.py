"""What of the machine's memory the embedded Postgres takes for its buffers."""

from pathlib import Path

import pytest

from node.process.machine import MEBIBYTE, buffer_bytes, memory_bytes


@pytest.mark.parametrize(
    ("memory", "buffers"),
    [(0, 128), (256, 128), (512, 128), (1024, 256), (2047, 511), (4096, 1024), (65_536, 1024)],
)
def test_buffers_are_a_quarter_of_the_memory_within_bounds(memory: int, buffers: int) -> None:
    assert buffer_bytes(memory * MEBIBYTE) == buffers * MEBIBYTE


def test_a_container_has_what_it_may_use(tmp_path: Path) -> None:
    limit, without = tmp_path / "memory.max", tmp_path / "other"
    limit.write_text(f"{300 * MEBIBYTE}\n")
    without.write_text("max\n")
    whole = memory_bytes(())
    assert memory_bytes((without, tmp_path / "none", limit)) == min(whole, 300 * MEBIBYTE)
    assert memory_bytes((without, tmp_path / "none")) == whole
