"""What a newcomer's machine lacks is named, with the line that installs it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with a shell's bare necessities: no Python, no SIPp, no apt."""
    for tool in ("dirname",):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    return tmp_path


def run(script: str, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / script), *arguments],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_python_the_exact_line_is_printed(bare: Path) -> None:
    done = run("venv", bare, "run")
    assert done.returncode == 2
    assert "sudo apt-get install -y python3 python3-venv" in done.stderr


def test_without_the_venv_module_the_exact_line_is_printed(bare: Path) -> None:
    fake = bare / "python3"
    fake.write_text('#!/bin/sh\ncase "$*" in *"import venv"*) exit 1;; *) exit 0;; esac\n')
    fake.chmod(0o755)
    done = run("venv", bare, "run")
    assert done.returncode == 2
    assert "sudo apt-get install -y python3-venv\n" in done.stderr


def test_without_root_the_tests_tools_are_named(bare: Path) -> None:
    done = run("system-tools", bare)
    assert done.returncode == 2
    assert "sudo apt-get install -y sip-tester baresip" in done.stderr
