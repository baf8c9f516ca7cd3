"""The echo baseline as a process, for tests of the load generators."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def running_echo(host: str) -> Iterator[dict[str, int]]:
    """Yield its three ports, by transport."""
    command = [sys.executable, "-m", "loadtest.baselines.echo", "--host", host]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())
        finally:
            server.kill()
