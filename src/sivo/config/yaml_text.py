"""YAML in and out of the configuration plane: one text for one value, and a loader that is stricter than YAML.

Refused: aliases (a few lines of them can stand for gigabytes), a key that stands twice in one mapping, keys that are no
strings, more than :data:`MAX_DEPTH` levels. A date is text here, since nothing in a configuration is one.
"""

from __future__ import annotations

from typing import Any

import yaml

from sivo.base.errors import SivoError

MAX_DEPTH = 32
_STRING = "tag:yaml.org,2002:str"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Dumper(yaml.CSafeDumper):
    """Mappings in the order given; text of several lines as a block where YAML can say it so."""


class _Loader(yaml.CSafeLoader):
    """The safe loader without dates and without a second value for one key."""


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar(_STRING, value, style="|" if "\n" in value else None)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        place = _place(key_node.start_mark)
        if not isinstance(key, str):
            raise _wrong(f"{place}: the key {str(key)[:60]!r} is not text", "put it in quotes")
        if key in found:
            raise _wrong(f"{place}: {key[:60]!r} stands there twice", "keep one of them")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Dumper.add_representer(str, _text)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != _TIMESTAMP]
    for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def dump(value: Any) -> str:
    """``value`` (JSON types) as YAML; the same text for the same value, always."""
    return str(
        yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110)
    )


def load(text: str) -> Any:
    """The value that ``text`` holds, JSON types only. Raises VALIDATION_FAILED with the line."""
    try:
        _check_shape(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, made stricter
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise _wrong(
            f"{_place(mark)}: {getattr(error, 'problem', None) or 'not YAML'}", "send YAML 1.1 or JSON"
        ) from None
    except (ValueError, RecursionError):
        raise _wrong("the text is not YAML", "send YAML 1.1 or JSON") from None


def _check_shape(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _wrong(f"{_place(event.start_mark)}: aliases are not taken", "write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _wrong(f"nested more than {MAX_DEPTH} levels deep", "flatten it")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}" if mark is not None else "somewhere"


def _wrong(message: str, remedy: str) -> SivoError:
    return SivoError("VALIDATION_FAILED", message, where="document", remedy=remedy)
