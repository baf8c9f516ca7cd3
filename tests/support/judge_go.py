"""Let the stock `go` command verify the days of a ledger, and `sha256sum` and `jq` add them up: none of it is ours.

Go's checksum-database client checks signature, inclusion, digest, and that what it saw before is still there: its own
directory is the auditor's memory.  It has to accept an honest log that grows, and to refuse two tampers, each for its
reason: a history that was rewritten and signed again with the true key, and a day whose file was altered.  A tool that
is missing is a failure.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from node.ledger.gomodule import module_of, pack, unpack, version_of
from node.ledger.index import KEY, PROXY, PUBLIC, SUMDB, EvidenceIndex, load_signer
from node.ledger.logfiles import LogFiles
from node.ledger.sample import ORIGIN, Sample
from tests.support.node_ledger import node_ledger, resolutions

DAYS, RESOLUTIONS = 4, 2_000
TIMEOUT_SECONDS = 120.0
TOOLS = {
    "go": "golang-go",
    "sha256sum": "coreutils",
    "jq": "jq",
}  # and the Debian packages that have them
ALTERED = ("checksum mismatch",)  # what Go says
REWRITTEN = ("server misbehavior detected", "downloaded inconsistent tile")
MORE = b'{"k":"blk","ok":[1000000,0,0,0,0,0]}\n'  # what one would like to have counted
SUM = 'map(select(.k=="blk").ok[0])|add'

Said = Iterator[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class JudgedIndex:
    """An index as an auditor finds it, and the key that he has from elsewhere."""

    directory: Path
    key: str
    module: str

    @property
    def days(self) -> list[str]:
        """The days that it has, as versions, the oldest first."""
        listed = self.directory / PROXY / self.module / "@v" / "list"
        return sorted(listed.read_text().split())


class Download(NamedTuple):
    """What became of a download: where it was unpacked, or why Go refused."""

    unpacked: Path | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Auditor:
    """Somebody with a Go of his own, whose directory is what he remembers."""

    home: Path

    def download(self, index: JudgedIndex, version: str) -> Download:
        """Download and verify a day."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GOPATH": str(self.home / "go"),
            "GOSUMDB": f"{index.key} file://{index.directory / SUMDB}",
            "GOPROXY": f"file://{index.directory / PROXY}",
            "GONOSUMDB": "",
            "GOPRIVATE": "",
            "GOFLAGS": "-modcacherw",
        }
        run = subprocess.run(
            ["go", "mod", "download", "-json", f"{index.module}@{version}"],
            capture_output=True, env=environment, cwd=self.home, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
        if run.returncode:
            return Download(None, (run.stdout + run.stderr).decode())
        return Download(Path(json.loads(run.stdout)["Dir"]))

    def accepts(self, index: JudgedIndex, version: str) -> bool:
        """Whether Go is content with a day."""
        return self.download(index, version).unpacked is not None

    def refuses(self, index: JudgedIndex, version: str, reasons: Sequence[str]) -> bool:
        """Whether Go is not, and says one of these."""
        made = self.download(index, version)
        return made.unpacked is None and any(reason in made.reason for reason in reasons)

    def clean(self) -> None:
        """Drop what was downloaded, as `go clean -modcache` does; the head that Go remembers lies elsewhere."""
        shutil.rmtree(self.home / "go" / "pkg" / "mod")


def main() -> int:
    """Judge the ledger that the words name, or a sample and that of a node; return 1 when a judge is not content."""
    options = _options()
    if options.ledger is not None:
        origin = options.origin
        index = options.ledger / "index"
        key = (options.ledger / "keys" / PUBLIC).read_text().strip()
        return _tell(judge_index(JudgedIndex(index, key, module_of(origin)), index.parent))
    return judge_sample() | judge_node()


def judge_sample() -> int:
    """Judge a sample of some days; return 1 when a judge is not content."""
    with sample_ledger() as ledger:
        key = (ledger / "keys" / PUBLIC).read_text().strip()
        return _tell(judge_index(JudgedIndex(ledger / "index", key, module_of(ORIGIN)), ledger))


def judge_node() -> int:
    """Judge the ledger of a node that has run, and that it has every answer; return 1 when a judge is not content."""
    with node_ledger() as lent:
        key = (lent.directory / "keys" / PUBLIC).read_text().strip()
        index = JudgedIndex(lent.directory / "index", key, module_of(lent.origin))
        counted = resolutions(LogFiles(lent.directory))
        said = [
            (
                f"the node's days have its {lent.answered} answers and one more",
                counted == lent.answered + 1,
            )
        ]
        return _tell(chain(said, judge_index(index, lent.directory)))


def judge_index(index: JudgedIndex, ledger: Path) -> Said:
    """Yield what the judges say of an index, and of tampered copies of it; `ledger` has the keys to make those."""
    missing = [
        f"{tool} is missing: apt-get install {package}"
        for tool, package in TOOLS.items()
        if not shutil.which(tool)
    ]
    if missing:
        yield from ((each, False) for each in missing)
        return
    with TemporaryDirectory(prefix="idnode-go-") as name:
        directory = Path(name)
        auditor = _auditor(directory)
        yield from _judge_days(index, auditor)
        yield from _judge_growth(index, _auditor(directory))
        yield from _judge_tampers(index, auditor, ledger, directory)


def _judge_days(index: JudgedIndex, auditor: Auditor) -> Said:
    for version in index.days:
        unpacked = auditor.download(index, version).unpacked
        yield f"go accepts {index.module}@{version}", unpacked is not None
        if unpacked is None:
            continue
        sums = subprocess.run(
            ["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"],
            cwd=unpacked, timeout=TIMEOUT_SECONDS, capture_output=True, check=False,
        )  # fmt: skip
        yield f"sha256sum: the files of {version}", sums.returncode == 0
        printed = json.loads((unpacked / "day.json").read_bytes())["answered"]
        yield f"jq: the leaves of {version} add up to {printed:,}", _sum(unpacked) == printed


def _judge_growth(index: JudgedIndex, auditor: Auditor) -> Said:
    """Each day came with the head of its time, so who asks for the first knows no later head."""
    first, last = index.days[0], index.days[-1]
    yield "go remembers the head of the first day", auditor.accepts(index, first)
    yield "go finds it in the head of the last", auditor.accepts(index, last)


def _judge_tampers(index: JudgedIndex, auditor: Auditor, ledger: Path, directory: Path) -> Said:
    last, following = index.days[-1], version_of("2099-01-01")
    altered = _copy(index, directory / "altered")
    _alter(altered, last)
    yield "go refuses an altered day", _auditor(directory).refuses(altered, last, ALTERED)
    honest = _grown(_copy(index, directory / "honest"), ledger, following)
    rewritten = _grown(_rewritten(index, ledger, directory / "rewritten"), ledger, following)
    stranger = _auditor(directory)
    yield "go accepts a rewritten history, seen alone", stranger.accepts(rewritten, following)
    yield "go refuses it to who saw the first", auditor.refuses(rewritten, following, REWRITTEN)
    auditor.clean()
    yield (
        "go refuses it again, with nothing but the head",
        auditor.refuses(rewritten, following, REWRITTEN),
    )
    auditor.clean()
    yield "go goes on with the first", auditor.accepts(honest, following)


def _alter(index: JudgedIndex, version: str) -> None:
    """Put a line more into the leaves of a day."""
    path = index.directory / PROXY / index.module / "@v" / f"{version}.zip"
    files = unpack(index.module, version, path.read_bytes())
    files["leaves.jsonl"] += MORE
    path.write_bytes(pack(index.module, version, files))


def _rewritten(index: JudgedIndex, ledger: Path, directory: Path) -> JudgedIndex:
    """Return another history with the same days, but for the first, by the same key."""
    made = replace(index, directory=directory)
    opened = _open(made, ledger)
    for number, version in enumerate(index.days):
        zipped = index.directory / PROXY / index.module / "@v" / f"{version}.zip"
        files = unpack(index.module, version, zipped.read_bytes())
        if not number:
            files["leaves.jsonl"] += MORE
        opened.add(version, files)
    return made


def _grown(index: JudgedIndex, ledger: Path, version: str) -> JudgedIndex:
    _open(index, ledger).add(version, {"leaves.jsonl": b"{}\n"})
    return index


def _open(index: JudgedIndex, ledger: Path) -> EvidenceIndex:
    """Open an index with the true key, whose name has the module's host."""
    origin = index.module.removesuffix("/evidence")
    assert (ledger / "keys" / KEY).exists()
    return EvidenceIndex.open(
        index.directory, load_signer(ledger / "keys", origin, is_new=False), origin
    )


def _copy(index: JudgedIndex, directory: Path) -> JudgedIndex:
    shutil.copytree(index.directory, directory)
    return replace(index, directory=directory)


def _auditor(directory: Path) -> Auditor:
    home = directory / f"auditor-{len(list(directory.iterdir()))}"
    home.mkdir()
    return Auditor(home)


def _sum(unpacked: Path) -> int:
    run = subprocess.run(
        ["jq", "-s", SUM, "leaves.jsonl"],
        cwd=unpacked, timeout=TIMEOUT_SECONDS, capture_output=True, check=True,
    )  # fmt: skip
    said: int | None = json.loads(run.stdout)
    return said or 0  # null of a day without blocks


def _tell(said: Iterable[tuple[str, bool]]) -> int:
    failed = 0
    for what, is_right in said:
        failed += not is_right
        sys.stdout.write(f"{'ok    ' if is_right else 'FAILED'} {what}\n")
    return 1 if failed else 0


@contextmanager
def sample_ledger() -> Iterator[Path]:
    """Lend the ledger of some sample days."""
    with TemporaryDirectory(prefix="idnode-sample-") as name:
        directory = Path(name) / "ledger"
        sample = Sample(directory, date(2026, 10, 1), days=DAYS, resolutions=RESOLUTIONS)
        assert len(list(sample.live())) == DAYS
        yield directory


def _options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "ledger", type=Path, nargs="?", help="a ledger's directory; without it, a sample"
    )
    parser.add_argument("--origin", help="the origin of that ledger")
    options = parser.parse_args(words)
    if options.ledger and not options.origin:
        parser.error("a ledger is judged with --origin")
    return options


if __name__ == "__main__":
    sys.exit(main())
