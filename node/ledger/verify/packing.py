"""Packing: the verifier as one file that runs wherever Python and `cryptography` are: `idnode-audit.pyz verify …`.

It has the modules that the verifier imports and no others.  The same sources make the same bytes, so that anybody can
make it himself and compare.
"""

import subprocess
import sys
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_ROOT = Path(__file__).parents[3]
_MAIN = """\
import sys

from node.ledger.verify.command import main

sys.exit(main())
"""
_LIST = "import sys, node.ledger.verify.command; print(*(m for m in sys.modules if m.split('.')[0] == 'node'))"
_TIME = (1980, 1, 1, 0, 0, 0)


def pack() -> bytes:
    """Return the file."""
    packed = BytesIO()
    packed.write(b"#!/usr/bin/env python3\n")
    with ZipFile(packed, "a", ZIP_DEFLATED) as archive:
        for name, data in sorted(_sources().items()):
            entry = ZipInfo(name, _TIME)
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return packed.getvalue()


def main(target: str) -> None:
    """Write the file, and say what it is."""
    path, data = Path(target), pack()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755)
    sys.stdout.write(f"{sha256(data).hexdigest()}  {target}\n")


def _sources() -> dict[str, bytes]:
    """The files of the modules that the verifier imports, asked of an interpreter that imports nothing else."""
    listed = subprocess.run(  # noqa: S603  our own interpreter, our own words
        [sys.executable, "-c", _LIST], cwd=_ROOT, check=True, capture_output=True, text=True
    )
    found = {"__main__.py": _MAIN.encode()}
    for module in listed.stdout.split():
        path = _ROOT / module.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        found[str(path.relative_to(_ROOT))] = path.read_bytes()
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
