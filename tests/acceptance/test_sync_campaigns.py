"""The sync's campaigns, small and seeded: what is written arrives, and whatever happens both sides end equal."""

import subprocess
import sys

import pytest

from loadtest import sync_load

pytestmark = pytest.mark.slow

BRIEF = ("--small", "--seconds", "1.5", "--down", "2", "--kills", "2")
FAULTS = ("peer-killed", "keeper-killed", "doubled-and-late", "peer-restored")


def test_what_is_written_arrives_and_both_sides_are_equal() -> None:
    load = sync_load.Load(seconds=2.0, registrations=50.0, changes=10.0)
    assert sync_load.run(load, is_timed=False) == []


def test_both_sides_are_equal_after_faults() -> None:
    """As a command: connections that it cuts in a handshake are its own affair."""
    words = ("-m", "loadtest.kill_sync", "--seed", "1", *BRIEF, "--faults", *FAULTS)
    told = subprocess.run((sys.executable, *words), capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert all(f"{fault} " in told.stdout for fault in FAULTS)
