"""`idnode restart`: have the running node replace its workers, one after the other, and wait until it has."""

import argparse
import os
import signal
import time

from node import config
from node.config import Settings
from node.errors import Kind, RegistryError
from node.process.lock import holder
from node.process.renewal import Progress, State
from node.process.running import find_running

SECONDS_A_WORKER = 80.0  # to start one (60 at most), and to end the one before
_POLL_SECONDS = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    parser.add_argument(
        "--no-wait", action="store_true", help="ask for it, and do not wait for its end"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask for a rolling restart.  Raises RegistryError when no node runs here, or a new worker cannot be started."""
    settings = config.load()
    running = find_running(settings)
    process_id = holder(settings.data_dir)
    if running is None or not process_id:
        raise RegistryError(
            Kind.UNAVAILABLE, f"No node runs on {settings.data_dir}; start it with `idnode serve`."
        )
    before = Progress.read(settings.data_dir)
    _ask(process_id)
    if arguments.no_wait:
        print("asked for")
        return 0
    _tell(_outcome(running, before), running.workers)
    return 0


def _ask(process_id: int) -> None:
    try:
        os.kill(process_id, signal.SIGUSR2)
    except PermissionError as error:
        raise RegistryError(
            Kind.FORBIDDEN, f"Another account runs the node (process {process_id}); use that one."
        ) from error
    except ProcessLookupError as error:
        raise RegistryError(Kind.UNAVAILABLE, "The node has just stopped.") from error


def _outcome(running: Settings, before: Progress) -> Progress:
    """Wait for the end of a restart that began after it was asked for."""
    deadline = time.monotonic() + SECONDS_A_WORKER * running.workers
    while time.monotonic() < deadline:
        now = Progress.read(running.data_dir)
        if now.number > before.number and now.state is not State.RUNNING:
            return now
        if holder(running.data_dir) is None:
            raise RegistryError(Kind.UNAVAILABLE, "The node has stopped meanwhile.")
        time.sleep(_POLL_SECONDS)
    raise RegistryError(
        Kind.UNAVAILABLE, "It goes on, but takes very long; the node's log says why."
    )


def _tell(outcome: Progress, workers: int) -> None:
    if outcome.kept:
        names = ", ".join(f"IDNODE_{name.upper()}" for name in outcome.kept)
        print(f"changed, and read when the whole node is started again: {names}")
    if outcome.state is State.FAILED:
        raise RegistryError(
            Kind.UNAVAILABLE, f"The workers that are left go on as before. {outcome.reason}"
        )
    print(f"workers replaced: {workers}, in {outcome.seconds:.1f} s")
