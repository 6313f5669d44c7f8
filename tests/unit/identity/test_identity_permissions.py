"""The table of permissions: its page, and what must hold between its columns."""

from __future__ import annotations

from pathlib import Path

from sivo.config import all_kinds
from sivo.identity import permissions_page
from sivo.identity.permissions import TABLE, Permission, Reach, Role

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "permissions.md"
#: What a supervisor does to what is going on; a viewer does none of it. The readers of the audit log are named singly.
LIVE = {Permission.CALLS_CONTROL}
NAMED_SINGLY = {Permission.AUDIT_READ}


def test_the_page_in_docs_is_the_one_that_follows_from_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == permissions_page.page(), (
        "stale: python -m sivo.identity.permissions_page > docs/reference/permissions.md"
    )


def test_every_permission_has_its_line() -> None:
    assert set(TABLE) == set(Permission)


def test_a_viewer_reads_what_a_supervisor_reads_and_does_nothing_live() -> None:
    apart = {one for one, grant in TABLE.items() if grant.viewer is not grant.supervisor}
    assert apart == LIVE | NAMED_SINGLY
    assert all(TABLE[one].viewer is Reach.NONE for one in apart)


def test_roles_are_ordered_but_for_the_operators_own() -> None:
    order = (Reach.NONE, Reach.OWN, Reach.PART, Reach.ALL)
    for permission, grant in TABLE.items():
        reach = [order.index(grant.reach(role)) for role in (Role.AGENT, Role.SUPERVISOR, Role.ADMIN, Role.SUPERADMIN)]
        assert reach == sorted(reach), permission


def test_the_rows_of_the_published_matrix() -> None:
    """``-`` nothing, ``r`` a reading permission, ``w`` a writing one; as the product publishes it."""
    published = {
        Permission.OWN_PROFILE: "yes yes yes yes",
        Permission.COLLEAGUES_READ: "yes yes yes yes",
        Permission.RESOURCES_READ: "– yes yes yes",
        Permission.RESOURCES_WRITE: "– – yes yes",
        Permission.CALLS_CONTROL: "– yes yes yes",
        Permission.RECORDINGS_LISTEN: "own yes yes yes",
        Permission.RECORDINGS_DOWNLOAD: "– – yes yes",
        Permission.TRANSCRIPTS_READ: "own yes yes yes",
        Permission.WEBHOOKS_READ: "– yes yes yes",
        Permission.WEBHOOKS_WRITE: "– – yes yes",
        Permission.AUDIT_READ: "– yes yes yes",
        Permission.TENANTS_MANAGE: "– – – yes",
    }
    columns = (Role.AGENT, Role.SUPERVISOR, Role.ADMIN, Role.SUPERADMIN)
    found = {one: " ".join(TABLE[one].reach(role).value for role in columns) for one in published}
    assert found == published


def test_every_kind_of_resource_is_read_and_changed_by_a_line_of_the_table() -> None:
    for kind in all_kinds.load().values():
        assert kind.read in TABLE and kind.write in TABLE
        assert TABLE[kind.write].roles <= TABLE[kind.read].roles, kind.name
