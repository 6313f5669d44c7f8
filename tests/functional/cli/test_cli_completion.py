"""TAB in a shell: the command asked through the environment, as its completion script asks it. No node runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sivo.cli.main import app

INSTALLED = str(Path(sys.executable).with_name("sivo"))


def _asked(line: str) -> dict[str, str]:
    """What bash says of ``line`` with the cursor at its end; after a blank the word to complete is empty."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return {"_SIVO_COMPLETE": "complete_bash", "SIVO_HOME": "/nonexistent", **words}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sivo config set recording.default_f", ["recording.default_format"]),
        ("sivo config set recording.default_format ", ["wav", "mp3", "ogg"]),
        ("sivo config set -t acme transcription.engine el", ["elevenlabs_scribe_v2_realtime"]),
        ("sivo config set recording.kms_enabled ", ["true", "false"]),
        ("sivo config set ai.llm_base_url ", ["local"]),
        ("sivo config set ai.max_turns ", []),
        ("sivo config unset tenant.d", ["tenant.dashboard_url", "tenant.default_locale"]),
        ("sivo config ex", ["explain", "export"]),
    ],
)
def test_tab_offers_keys_and_the_values_of_an_enumeration(
    line: str, offered: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in _asked(line).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        app(prog_name="sivo")
    assert ended.value.code in (0, None)
    assert capsys.readouterr().out.split() == offered


def test_the_installed_command_answers_the_shell() -> None:
    asked = {**os.environ, **_asked("sivo config set recording.default_format ")}
    answer = subprocess.run([INSTALLED], env=asked, capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.split() == ["wav", "mp3", "ogg"]
