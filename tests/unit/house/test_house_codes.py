"""The one register of error codes: what is raised is registered, what is registered is used and has its words."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from sivo.base.errors import CODES, SivoError
from sivo.base.errors_page import page, registered
from sivo.base.problem_words import LANGUAGES, catalogue, chosen

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src" / "sivo"
#: Codes are written in capitals, and so are the constants that name them.
NAMES = re.compile(r"SivoError|register\(|\b[A-Z]+_[A-Z_]+\b|\bLOCKED\b|\bBROKEN\b")
PAGE = ROOT / "docs" / "reference" / "errors.md"


@functools.cache
def trees() -> list[tuple[str, ast.Module]]:
    """Modules that speak of errors."""
    texts = [(path, path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))]
    return [(path.relative_to(SOURCE).as_posix(), ast.parse(text)) for path, text in texts if NAMES.search(text)]


def constants() -> dict[tuple[str, str], str]:
    """(module, name) -> code of every ``NAME = register("CODE", status)``."""
    found = {}
    for path, tree in trees():
        for node in tree.body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id=name)],
                    value=ast.Call(func=ast.Name(id="register"), args=[ast.Constant(value=str(code)), *_]),
                ):
                    found[path, name] = code
    return found


def raised_literally() -> dict[str, str]:
    """code -> a place where ``SivoError("CODE", …)`` stands."""
    found = {}
    for path, tree in trees():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="SivoError"), args=[ast.Constant(value=str(code)), *_]):
                    found[code] = f"{path}:{node.lineno}"
    return found


def test_what_is_raised_is_registered() -> None:
    known = registered()
    wrong = {code: place for code, place in raised_literally().items() if code not in known}
    assert not wrong, 'write NAME = register("CODE", status) in the room that raises it'


def test_every_code_has_title_and_remedy_in_six_languages() -> None:
    words = catalogue()
    lacking = {
        code: missing
        for code in registered()
        if (missing := [one for one in LANGUAGES if one not in words.get(code, {})])
    }
    assert not lacking, "add a table with these languages to src/sivo/base/codes.toml: en = [title, remedy] …"
    empty = [
        (code, language)
        for code, languages in words.items()
        for language, said in languages.items()
        if not said.title.strip() or not said.remedy.strip() or language not in LANGUAGES
    ]
    assert not empty


def test_words_are_kept_for_registered_codes_only() -> None:
    assert not sorted(catalogue().keys() - registered().keys()), "no room registers these: take them out of codes.toml"


def test_translations_are_translations() -> None:
    same = [
        (code, language)
        for code, said in catalogue().items()
        for language in LANGUAGES[1:]
        if said[language].remedy == said["en"].remedy or said[language].title == said["en"].title
    ]
    assert not same, "these say in another language what they say in English"


def test_no_registered_code_is_unused() -> None:
    used = set(raised_literally())
    named: set[str] = set()
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                named.add(node.id)
            elif isinstance(node, ast.Attribute):
                named.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and path != "base/errors.py":
                used.add(node.value) if node.value in CODES else None
    used |= {code for (_, name), code in constants().items() if name in named}
    unused = sorted(registered().keys() - used)
    assert not unused, "registered, but nothing raises them: take the code out, or raise it"


def test_the_reference_page_is_the_one_that_follows_from_the_register() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "stale: python -m sivo.base.errors_page > docs/reference/errors.md"
    )


def test_no_code_is_renamed_or_changes_its_status_unseen() -> None:
    assert registered()["NOT_FOUND"] == 404
    with pytest.raises(ValueError, match="is not in the register"):
        SivoError("NOBODY_REGISTERED_THIS", "x")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH, fr;q=0.9", "de"),
        ("fr;q=0.5, pt-BR;q=0.8", "pt"),
        ("ja, it;q=0.1", "it"),
        ("es;q=0, en;q=0.2", "en"),
        ("*", "en"),
        ("de;q=7, it;q=nan, fr;q=x", "en"),
        ("\x00\xff,;;==", "en"),
    ],
)
def test_the_language_follows_the_header_as_rfc_9110_weighs_it(header: str, language: str) -> None:
    assert chosen(header) == language
