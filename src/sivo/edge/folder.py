"""The folder of an edge's files: each written whole, for its owner only, and compared without telling what is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

#: What has to be restarted, or told, when a file has changed. The accounts are read anew by Kamailio itself.
_TELL = {
    "db/domain": "domain.reload",
    "address.list": "permissions.addressReload",
    "dispatcher.list": "dispatcher.reload",
}
_LIVE = {*_TELL, "db/subscriber", "db/version", "db/domain_attrs"}
#: Folders below it that only the owner may enter.
_FOLDERS = ("", "db", "state")


def differing(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """Names of the files that are missing or other than ``wanted``, and of those that others may read."""
    return [name for name, text in wanted.items() if _read(folder / name) != text or _open(folder / name)]


def write(folder: Path, wanted: Mapping[str, str], state: Mapping[str, str]) -> list[str]:
    """Bring the folder to ``wanted``; names of what was changed. ``state`` is written where there is none yet.

    A file appears whole or not at all, with mode 0600 from its first byte.
    """
    for name in _FOLDERS:
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / name).chmod(0o700)
    changed = differing(folder, wanted)
    fresh = {name: text for name, text in state.items() if not (folder / name).exists()}
    for name in changed:
        _put(folder / name, wanted[name])
    for name, text in fresh.items():
        _put(folder / name, text)
    return changed


def faults(wanted: Mapping[str, str], state: Mapping[str, str], folder: Path) -> str:
    """What `kamailio -c` says against the files of ``folder``, tried in a place of their own; empty: nothing.

    Only the number of the line is told, for the line may hold a key. ``FileNotFoundError``: there is no Kamailio.
    """
    with tempfile.TemporaryDirectory(prefix="sivo-edge-") as place:
        moved = {name: text.replace(str(folder), place) for name, text in wanted.items()}
        write(Path(place), moved, state)
        found = subprocess.run(
            ["kamailio", "-c", "-f", str(Path(place) / "kamailio.cfg"), "-Y", place],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=60,
        )
        if found.returncode == 0:
            return ""
        lines = [line.strip() for line in found.stderr.splitlines() if "CRITICAL" in line or "ERROR" in line]
        return "; ".join(line.replace(place, str(folder)) for line in lines[:3]) or f"exit {found.returncode}"


def orders(changed: list[str]) -> list[str]:
    """What a running Kamailio has to be told by ``kamcmd``, or ``restart`` where that is not enough."""
    if any(name not in _LIVE and name != "rtpengine.conf" for name in changed):
        return ["restart"]
    return [_TELL[name] for name in changed if name in _TELL]


def tell(folder: Path, order: str) -> bool:
    """Give an order to the Kamailio that runs on ``folder``; False when there is none, or it refuses."""
    kamcmd = shutil.which("kamcmd")
    if kamcmd is None:
        return False
    asked = [kamcmd, "-s", f"unix:{folder / 'state' / 'ctl'}", order]
    return subprocess.run(asked, capture_output=True, check=False, timeout=20).returncode == 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _open(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)


def _put(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
