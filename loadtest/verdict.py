"""What a campaign says while it runs, and how it ends."""

from collections.abc import Sequence

SHOWN_FAULTS = 40


def say(text: str) -> None:
    """Print a line at once: a campaign is watched."""
    print(text, flush=True)


def conclude(faults: Sequence[str], held: str = "everything held") -> int:
    """Print what did not hold, and return the exit status: 1 when there is anything."""
    for fault in faults[:SHOWN_FAULTS]:
        print("FAULT", fault)
    print(held if not faults else f"{len(faults)} faults")
    return 1 if faults else 0
