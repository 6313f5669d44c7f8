"""What a line of the log shows, of ours and of libraries: one process that says everything, read from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

SPEAKER = """
import logging
from pydantic import SecretStr
from sivo.base import logs

logs.configure("api", "info")
room = logs.get("identity").bind(tenant="acme", call="c1")
room.info("login", password="pw-1", api_key="key-2", seen=SecretStr("key-3"), raw=b"audio-4", text="words-5", ms=7)
room.debug("too quiet")
logging.getLogger("aiohttp.access").info("GET /?token=key-6")
for name in ("aiohttp.server", "asyncio"):
    try:
        raise ValueError("line-7 of a stranger" if name == "aiohttp.server" else "a fault of ours")
    except ValueError:
        logging.getLogger(name).exception("request of 127.0.0.1\\nGET /key-8")
"""


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, "-c", SPEAKER], capture_output=True, text=True, timeout=30, check=True)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_is_an_object_with_its_role_and_the_level_is_kept(lines: list[dict[str, Any]]) -> None:
    assert [(line["event"], line["role"], line["level"]) for line in lines] == [
        ("login", "api", "info"),
        ("request of 127.0.0.1", "api", "error"),
        ("request of 127.0.0.1", "api", "error"),
    ]


def test_secrets_audio_and_text_are_not_in_it_and_tenant_and_call_are(lines: list[dict[str, Any]]) -> None:
    whole = json.dumps(lines)
    assert not [word for word in ("pw-1", "key-", "audio-4", "words-5", "line-7") if word in whole]
    assert (lines[0]["tenant"], lines[0]["call"], lines[0]["ms"]) == ("acme", "c1", 7)


def test_a_library_tells_the_kind_of_a_strangers_error_and_all_of_ours(lines: list[dict[str, Any]]) -> None:
    stranger, ours = lines[1:]
    assert (stranger["library"], stranger["error"], "exception" in stranger) == ("aiohttp.server", "ValueError", False)
    assert ours["library"] == "asyncio" and "a fault of ours" in ours["exception"]
