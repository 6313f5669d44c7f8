"""The reference page of all keys, made from their declarations: ``python -m sivo.config.reference_page``.

The page in ``docs/reference`` is what this prints; a test fails when it is not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from sivo.config.form import GROUPS
from sivo.config.key import Key, Static
from sivo.config.registry import KEYS
from sivo.config.rules import CROSS_CHECKED

_HEAD = """\
# Configuration reference

Every key, made from its declaration in `src/sivo/config/keys/` (`python -m sivo.config.reference_page`); do not edit.

The most specific value wins: default, platform, plan, tenant, then an org or endpoint, then fields of a DID or an AI
agent on calls through it. A value that is locked at one level cannot be overridden below it. Taking an override back
(`sivo config unset`) is not the same as setting the default: the first follows when the default changes, the second
does not.

When a change takes effect: *calls*: calls that start later. *now*: at once, running calls included. *sealed*: copied
onto the record when it is made. Turning a safety switch off acts at once.
"""


def page() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD]
    for group, title in GROUPS.items():
        parts.append(f"\n## {title}\n")
        for key in KEYS.values():
            if key.group == group:
                parts.append("\n".join(_entry(key)) + "\n")
    return "\n".join(parts)


def _entry(key: Key) -> Iterator[str]:
    yield f"### `{key.name}`\n"
    yield f"{key.help}\n"
    yield "| | |"
    yield "|---|---|"
    yield f"| type | {_cell(_type(key))} |"
    yield f"| default | {_cell(_default(key))} |"
    yield f"| may be set at | {', '.join(key.scopes) or 'nowhere: it is a view'} |"
    if key.overridden_by:
        yield f"| stood in for by | {', '.join(f'`{place}`' for place in key.overridden_by)} |"
    yield f"| takes effect | {key.when} |"
    yield f"| read by | {', '.join(key.read_roles)} |"
    yield f"| written by | {', '.join(key.write_roles) or 'nobody'} |"
    if key.secret:
        yield "| secret | kept in the vault, shown as `***` |"
    if key.confirm:
        yield f"| confirmation | {key.confirm} |"
    if key.name in CROSS_CHECKED:
        yield "| checked with other keys | before anything is stored |"
    yield f"| since | {key.since} |"
    if key.deprecated:
        replaced = f", replaced by `{key.replaced_by}`" if key.replaced_by else ""
        yield f"| deprecated | {key.deprecated}{replaced} |"


def _type(key: Key) -> str:
    """The type in words, from its JSON Schema."""
    schema = key.type.schema()
    alternatives = [word for one in schema.get("anyOf", ()) for word in one.get("enum", ())]
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    words = str(schema.get("format") or schema.get("description") or schema["type"])
    if "enum" in schema:
        words = "one of " + ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "items" in schema:
        words = "array of " + ", ".join(f"`{choice}`" for choice in schema["items"]["enum"])
    if "minimum" in schema:
        words += f", {schema['minimum']} to {schema['maximum']}{f' {key.unit}' if key.unit else ''}"
    elif "maxLength" in schema and schema["type"] == "string" and "format" not in schema:
        words += f", {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    if "pattern" in schema:
        words += f", `{schema['pattern']}`"
    return words + "".join(f", or `{word}`" for word in alternatives)


def _default(key: Key) -> str:
    if isinstance(key.default, Static):
        return f"`{json.dumps(key.default.value, ensure_ascii=False)}`"
    return f"computed: {key.default.describe()}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(page())
