"""A headless browser of the machine: what a page has come to once its scripts have run."""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
RUN_SECONDS = 60
PAGE_MILLISECONDS = 3_000  # of the page's own time


class Seen(NamedTuple):
    """The document, and what the console says is wrong."""

    document: str
    faults: list[str]


def find_browser() -> str | None:
    """Return the path of a browser, None when there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def look(url: str, home: Path) -> Seen:
    """Open a page, and return what it has become.  Raises RuntimeError on a machine without a browser."""
    browser = find_browser()
    if browser is None:
        raise RuntimeError(
            f"no browser ({', '.join(NAMES)}) is installed: apt-get install chromium"
        )
    done = subprocess.run(
        (
            browser,
            *("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home}"),
            *("--enable-logging=stderr", "--v=0", f"--virtual-time-budget={PAGE_MILLISECONDS}"),
            *("--no-proxy-server", "--disable-quic", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update"),
            *("--dump-dom", url),
        ),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=True,
    )
    faults = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Seen(done.stdout, faults)
