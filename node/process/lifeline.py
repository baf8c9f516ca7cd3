"""The child's end of the supervisor's pipes: it stops when the lifeline is cut, and says when it is ready.

A thread waits on the lifeline, so that even a loop that hangs cannot keep an orphan alive.  It costs nothing meanwhile.
"""

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

import uvloop

from node.errors import RegistryError, first_failure
from node.stop import Stop

_COLLECT_AFTER = 10_000  # objects more than were let go
DRAIN_SECONDS = 8.0  # from the cut to the end at the latest; less than the supervisor's grace

Serve = Callable[[Stop, Callable[[], None]], Awaitable[None]]

logger = logging.getLogger(__name__)


def run_until_cut(lifeline: int, ready: int, serve: Serve) -> int:
    """Run `serve(stop, say_ready)` on a loop of its own; return the exit code of the process.

    `stop` is set when the lifeline is cut, or on SIGTERM or SIGINT; `serve` then drains and returns.  What was not
    ready when its lifeline was cut has nothing to drain, and ends at once.
    """
    try:
        uvloop.run(_run(lifeline, ready, serve))
    except BaseExceptionGroup as group:
        return _report(first_failure(group), group)
    except Exception as error:  # the top of the process
        return _report(error, error)
    return 0


def _report(error: BaseException, whole: BaseException) -> int:
    if isinstance(error, RegistryError):
        logger.critical("cannot serve", extra={"reason": error.detail})
    else:
        logger.critical("failed", exc_info=whole)
    return 1


async def _run(lifeline: int, ready: int, serve: Serve) -> None:
    stop, begun, loop = Stop(), threading.Event(), asyncio.get_running_loop()

    def watch() -> None:
        told = os.read(lifeline, 1)
        while os.read(lifeline, 1):
            pass
        stop.is_in_order = bool(told)
        if begun.is_set():
            with suppress(RuntimeError):  # it has ended by itself at the same moment
                loop.call_soon_threadsafe(stop.set)
            threading.Event().wait(DRAIN_SECONDS)
        os._exit(1)

    def say_ready() -> None:
        _keep_what_is_there()
        begun.set()
        with suppress(BrokenPipeError):  # the supervisor has gone: the lifeline tells us so too
            os.write(ready, b"1")

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    await serve(stop, say_ready)


def _keep_what_is_there() -> None:
    """Search for cycles never again in what a process is made of: that is a hundred thousand objects, and every search
    through them would hold up all that it answers for a tenth of a second.  Of what is new, a batch of questions makes
    hundreds of objects that end with it: only what outlives some of them is searched.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
