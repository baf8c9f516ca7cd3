"""A command that serves, as a process of a test: it can be killed, and started again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.nodes import ROOT, STOP_SECONDS, eventually


class ServerProcess:
    """`idnode …`; what it prints and logs goes into `output`."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *words: str) -> None:
        """Start it, without settings from outside, and wait until it answers."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("IDNODE_")}
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "node", *words),
                stdout=output, stderr=output, cwd=ROOT, env=environment,
            )  # fmt: skip
        eventually(lambda: "Ctrl-C" in self.said() or self.has_ended())
        assert not self.has_ended(), self.said()

    def said(self) -> str:
        """Return what it has printed and logged since it was started."""
        return self.output.read_text("utf-8")

    def stop(self, how: signal.Signals = signal.SIGKILL) -> int:
        """End it, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(STOP_SECONDS)
        self._process = None
        return code

    def end(self) -> None:
        """Leave nothing behind."""
        if self._process is not None:
            self.stop()

    def has_ended(self) -> bool:
        """True when it does not run."""
        return self._process is None or self._process.poll() is not None
