"""Child: one process that the supervisor started, keeps running, and can be sure to end.

Each child is in a session of its own, so that Ctrl-C in a terminal reaches only the supervisor.  Each holds the read
end of a pipe, its *lifeline*: when the supervisor closes the other end, or dies, the child stops; a byte before that
tells it that the stop is in order.  A child that ends by itself is started again at once; one that lives for less than
a second waits, longer each time.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from node.config import Settings, as_environment
from node.errors import Kind, RegistryError

READY_SECONDS = 60.0
PROBE_SECONDS = 0.01  # between probes
SHORT_LIFE_SECONDS = 1.0
PAUSE_SECONDS = (0.2, 10.0)  # the first pause after a short life, and the longest
LIFELINE, READY = "{lifeline}", "{ready}"  # stand for descriptors in a program's arguments

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """What a child runs.

    `arguments` may hold LIFELINE and READY.  A program with `probe` is ready when that returns True; one without writes
    a byte to READY.  It is given `grace_seconds` to stop, then killed with all of its session.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    descriptors: tuple[int, ...]
    grace_seconds: float
    probe: Callable[[], Awaitable[bool]] | None = None
    ready_seconds: float = READY_SECONDS
    log: Path | None = None  # where its standard output and error go; to ours if None

    @staticmethod
    def python(module: str) -> tuple[str, ...]:
        """Return how to run a module of ours; a directory `node` where the operator stands is none."""
        return (sys.executable, "-P", "-m", module)


def environment_of(settings: Settings) -> Mapping[str, str]:
    """Return our environment, with these settings in place of ours, for a child that reads them."""
    return {**os.environ, **as_environment(settings)}


class Child:
    """A program, kept running between `start` and `stop`."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline = -1  # our end of the pipe
        self._stopping = False
        self._started_at = 0.0

    @property
    def process_id(self) -> int:
        """The process that runs now, or ran last; 0 before the first."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start the program and wait until it is ready.  Raises RegistryError when it is not; it is stopped then."""
        ready = await self._launch()
        try:
            async with asyncio.timeout(self.program.ready_seconds):
                await (self._probe_until_ready() if self.program.probe else self._read_ready(ready))
        except TimeoutError:
            await self._end()
            raise RegistryError(
                Kind.UNAVAILABLE,
                f"{self.program.name} was not ready in {self.program.ready_seconds:.0f} seconds.",
            ) from None
        except BaseException:
            await self._end()
            raise
        finally:
            os.close(ready)
        logger.info(
            "child ready", extra={"child": self.program.name, "process_id": self.process_id}
        )

    async def keep(self) -> None:
        """Start the program again whenever it ends; return once it ended because of `stop`."""
        pause = 0.0
        while self._process is not None:
            code = await self._process.wait()
            if self._is_stopping():
                return
            lived = time.monotonic() - self._started_at
            short = lived < SHORT_LIFE_SECONDS
            pause = min(max(2 * pause, PAUSE_SECONDS[0]), PAUSE_SECONDS[1]) if short else 0.0
            self._report("child ended", logging.ERROR, code=code, lived_seconds=round(lived, 3))
            self._cut()
            self._kill_session()
            await asyncio.sleep(pause)
            if self._is_stopping():
                return
            with suppress(RegistryError, OSError):  # it did not start; the next turn reports it
                await self.start()

    async def stop(self) -> None:
        """Cut the lifeline and wait; kill what does not end in time.  Does nothing if it was never started."""
        self._stopping = True
        if self._lifeline >= 0:
            with suppress(BrokenPipeError):
                os.write(self._lifeline, b"1")  # in order
        await self._end()
        if self._process is not None:
            self._report("child stopped", logging.INFO, code=self._process.returncode)

    async def _launch(self) -> int:
        """Start the process and return our end of its ready pipe."""
        self._started_at = time.monotonic()
        with ExitStack() as given, ExitStack() as kept:
            try:
                return await self._execute(given, kept)
            except OSError as error:
                where = f" ({error.filename})" if error.filename else ""
                raise RegistryError(
                    Kind.UNAVAILABLE, f"Cannot start {self.program.name}: {error.strerror}{where}."
                ) from error

    async def _execute(self, given: ExitStack, kept: ExitStack) -> int:
        """Start the process; `given` closes what the child alone has, `kept` what is ours, unless all went well.

        The lifeline is ours from its first moment, so that `stop` cuts it while the child is being started.
        """
        theirs, self._lifeline = os.pipe()
        given.callback(os.close, theirs)
        kept.callback(self._cut)
        ready, ready_theirs = os.pipe()
        kept.callback(os.close, ready)
        given.callback(os.close, ready_theirs)
        os.set_blocking(ready, False)
        numbers = {LIFELINE: str(theirs), READY: str(ready_theirs)}
        log = self.program.log
        output = given.enter_context(log.open("ab")) if log else None
        self._process = await asyncio.create_subprocess_exec(
            *(numbers.get(each, each) for each in self.program.arguments),
            env=dict(self.program.environment),
            pass_fds=(theirs, ready_theirs, *self.program.descriptors),
            start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        kept.pop_all()
        return ready

    async def _read_ready(self, ready: int) -> None:
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(ready, readable.set)
        try:
            await readable.wait()
            if not os.read(ready, 1):
                raise self._died()
        finally:
            loop.remove_reader(ready)

    async def _probe_until_ready(self) -> None:
        while self.program.probe and not await self.program.probe():
            if self._process is None or self._process.returncode is not None:
                raise self._died()
            await asyncio.sleep(PROBE_SECONDS)

    def _is_stopping(self) -> bool:
        return self._stopping

    def _report(self, event: str, level: int, **more: float | None) -> None:
        identity = {"child": self.program.name, "process_id": self.process_id}
        logger.log(level, event, extra={**identity, **more})

    def _died(self) -> RegistryError:
        reason = "its last line above says why"
        if self.program.log:
            last = self.program.log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
            reason = f"{self.program.log} says why: {last or 'nothing'}"
        return RegistryError(
            Kind.UNAVAILABLE, f"{self.program.name} ended before it was ready; {reason}."
        )

    async def _end(self) -> None:
        self._cut()
        if self._process is None:
            return
        try:
            async with asyncio.timeout(self.program.grace_seconds):
                await self._process.wait()
        except TimeoutError:
            self._report("child killed", logging.ERROR)
        self._kill_session()
        await self._process.wait()

    def _cut(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _kill_session(self) -> None:
        """Kill whatever is left of the child's session; usually nothing."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process_id, signal.SIGKILL)
