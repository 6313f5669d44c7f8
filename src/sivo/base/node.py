"""Which node this is: journals are local files, so their rows name the data directory they lie in."""

from __future__ import annotations

import os

from sivo.base.ids import uuid7
from sivo.base.settings import Settings


def node_id(settings: Settings) -> str:
    """Identity of this data directory, made once and kept in ``home/node-id``.

    Not the host name: a container that is made anew over the same volume must find its journals again.
    """
    path = settings.home / "node-id"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(f"{uuid7()}\n")
    try:
        os.link(fresh, path)  # the first writer wins, the others read what it wrote
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text().strip()
