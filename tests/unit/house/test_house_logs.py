"""Every line of the log in the life of a call names its tenant and the call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[3] / "src" / "sivo"
ROOMS = ("calls", "media", "ai", "transcription", "recording")
MODULES = ("speech/live_session.py",)
LEVELS = {"debug", "info", "warning", "error", "exception"}

#: Lines of these modules are written inside ``logs.about(tenant, call)``: their callers know the call, they do not.
ABOUT = {"calls/callee_fork.py", "calls/joining.py"}
#: Loggers that were bound to the call where they were made (``logs.here``, ``bind``).
BOUND = {"self._log", "bound"}
#: What concerns no single call: the node, a line between processes, a trunk, a phone, something before there is a call.
OF_THE_NODE = {
    "a guesser is banned",
    "a lifted ban cannot be read",
    "stopped with unwritten records",
    "records wait for the database",
    "media line lost",
    "media process speaks garbage",
    "figures of a media process cannot be read",
    "orphaned phones were hung up on",
    "recordings of a dead worker are begun again",
    "not a journal of ours",
    "a call to a carrier is refused",
    "sip over tls shows a development certificate",
    "sip serves",
    "sip is not served on a port",
    "trunks could not be looked after",
    "a trunk changed",
    "no media process yet; calls get 503 until there is one",
    "rows could not be written before the end",
    "sip stopped",
    "expired words are still there",
    "an order that cannot be read",
    "an order was not done",
    "registered",
    "the node drains: no new calls",
    "the node takes calls again",
    "the node is drained",
    "the edge shows no token of this platform; render its configuration again",
    "the HEP collector cannot be used",
    "the SIP ladder goes to a collector",
    "journal cannot be written",
    "journal cannot be synced",
    "the loop is gone; nobody waits for this write any more",
    "call is gone; sessions are closed",
    "voice activity detection failed in the tick",
    "media serves",
    "media stopped",
    "call speaks garbage; the line is closed",
    "call does not read; the line is closed",
    "a second connection from call; the first is closed",
    "a stored recording is missing from the object store",
}


def lines() -> Iterator[tuple[str, ast.Call, str]]:
    """Module, call and message of every line that these rooms can write."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name.split("/")[0] not in ROOMS and name not in MODULES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=logger, attr=level), args=[ast.Constant(value=str(said)), *_]):
                    if level in LEVELS and ast.unparse(logger) in {"log", "_log", *BOUND}:
                        yield name, node, said


def names_its_call(node: ast.Call) -> bool:
    given = {keyword.arg for keyword in node.keywords}
    spread = {ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg is None}
    return {"tenant", "call"} <= given or bool(spread & {"ids", "session.ids"})


def test_a_line_about_a_call_names_tenant_and_call() -> None:
    found = list(lines())
    assert len(found) > 40
    nameless = [
        f"{name}:{node.lineno} {said}"
        for name, node, said in found
        if not names_its_call(node)
        and ast.unparse(node.func).rpartition(".")[0] not in BOUND
        and name not in ABOUT
        and said not in OF_THE_NODE
    ]
    assert not nameless, "name tenant and call, or say in OF_THE_NODE why there is no call"


def test_what_is_about_the_node_names_no_call_by_half() -> None:
    halves = [
        f"{name}:{node.lineno} {said}"
        for name, node, said in lines()
        if "call" in {keyword.arg for keyword in node.keywords} and not names_its_call(node)
    ]
    assert not halves


def test_every_exception_is_still_written() -> None:
    assert {said for _, _, said in lines()} >= OF_THE_NODE - {"a call to a carrier is refused"}
