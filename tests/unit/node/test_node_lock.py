"""One supervisor a data directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sivo.base.errors import SivoError
from sivo.node.lock import NodeLock

HOLDER = """
import sys, time
from pathlib import Path
from sivo.node.lock import NodeLock
lock = NodeLock(Path(sys.argv[1])); lock.acquire(); print("held", flush=True); time.sleep(60)
"""


def test_a_second_holder_learns_the_pid_of_the_first(tmp_path: Path) -> None:
    first, second = NodeLock(tmp_path / "run" / "lock"), NodeLock(tmp_path / "run" / "lock")
    first.acquire()
    with pytest.raises(SivoError, match=f"process {os.getpid()} already runs"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_kill_9_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(SivoError, match=f"process {holder.pid} "):
        NodeLock(path).acquire()
    holder.kill()
    holder.wait()
    lock = NodeLock(path)
    lock.acquire()
    lock.release()
