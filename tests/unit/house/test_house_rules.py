"""The walls of the house, as the code stands: who may import whom, and what must stay free of I/O."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[3] / "src" / "sivo"

#: Rooms that assemble the others; nothing inside may know them.
ASSEMBLY = {"api", "cli", "node", "demo"}
#: What an inner room may take from an assembling one: the two gates that exist for that.
GATES = {"sivo.node.ready", "sivo.api.context", "sivo.api.page", "sivo.api.etag"}

#: The rooms that everything stands on, and what each of them may import.
FOUNDATION = {
    "base": set(),
    "db": {"base"},
    "vault": {"base", "db"},
    "outbound": {"base"},
    "events": {"base", "db"},
}

#: Rooms of the process ``media``: they must not reach the database, SIP or HTTP serving.
MEDIA_ONLY = {"media", "ai", "speech"}
FORBIDDEN_IN_MEDIA = {"db", "sip", "calls", "routing", "identity", "vault", "events", "api"}
#: Not part of the running media process: what the configuration plane reads.
MEDIA_EXEMPT = {"ai/resources.py"}

#: Modules that must be pure: bytes and time in, bytes, timers and facts out.
SANS_IO = ("sip", "media/jitter.py", "media/rtp.py", "media/dtmf.py", "media/latch.py", "calls/state.py", "ai/engine")
SANS_IO_EXEMPT = {"sip/udp.py", "sip/streams.py", "sip/tls.py"}
IO_MODULES = {"asyncio", "socket", "aiohttp", "asyncpg", "time", "threading", "subprocess"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_used(tree: ast.Module) -> set[str]:
    return {name.split(".")[1] for name in imports(tree) if name.startswith("sivo.") and name not in GATES}


def outward_imports(tree: ast.Module) -> set[str]:
    """Modules of the assembling rooms that are imported, other than the gates."""
    return {
        name
        for name in imports(tree)
        if name.startswith("sivo.")
        and len(name.split(".")) > 2
        and name.split(".")[1] in ASSEMBLY
        and not any(name == gate or name.startswith(f"{gate}.") for gate in GATES)
    }


def test_no_room_knows_who_assembles_it() -> None:
    wrong = {
        path: found
        for path, tree in modules()
        if "/" in path and path.split("/")[0] not in ASSEMBLY and (found := outward_imports(tree))
    }
    assert not wrong


def test_the_foundation_leans_on_nothing_but_itself() -> None:
    wrong = {}
    for path, tree in modules():
        room = path.split("/")[0]
        # What a room offers for editing is declared to the configuration plane, in this one file.
        if (
            room in FOUNDATION
            and not path.endswith("/resources.py")
            and (found := rooms_used(tree) - FOUNDATION[room] - {room, "node"})
        ):
            wrong[path] = found
    assert not wrong


def test_media_knows_no_database_no_sip_no_tenants() -> None:
    wrong = {
        path: found
        for path, tree in modules()
        if path.split("/")[0] in MEDIA_ONLY
        and path not in MEDIA_EXEMPT
        and (found := rooms_used(tree) & FORBIDDEN_IN_MEDIA)
    }
    assert not wrong


def test_protocol_cores_do_no_io() -> None:
    wrong = {
        path: found
        for path, tree in modules()
        if path.startswith(SANS_IO)
        and path not in SANS_IO_EXEMPT
        and (found := {name.split(".")[0] for name in imports(tree)} & IO_MODULES)
    }
    assert not wrong


def test_the_rules_look_at_something() -> None:
    seen = [path for path, _ in modules()]
    assert len(seen) > 50
    assert any(path.startswith(SANS_IO) for path in seen)


def test_test_modules_have_names_of_their_own() -> None:
    """The runner imports them by bare name: two of one name cannot be collected together."""
    names = [path.name for path in Path(__file__).parents[2].rglob("*.py") if path.name != "conftest.py"]
    assert not {name for name in names if names.count(name) > 1}
