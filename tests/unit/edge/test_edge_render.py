"""What an edge's files say, by their meaning: accounts, networks, nodes, sockets, secrets; and how they are written."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from sivo.base.ids import uuid7
from sivo.edge import folder
from sivo.edge.keys import EdgeKeys
from sivo.edge.place import Place
from sivo.edge.render import render, state
from sivo.edge.trust import HEADERS
from sivo.edge.view import view
from sivo.routing.directory import Extension, Tenant, TenantPicture, Trunk

KEYS = EdgeKeys("ab" * 32, "cd" * 32)
FOLDER = Path("/srv/edge")


def picture(slug: str, *, status: str = "active") -> TenantPicture:
    tenant = Tenant(uuid7(), slug, (f"{slug}.SIP.example", f"old-{slug}.sip.example"), "UTC", 1, status)
    phone = Extension(uuid7(), tenant.id, "100", password=f"pw-{slug}", devices={"100-0a1b": "laptop"})
    nameless = Extension(uuid7(), tenant.id, "101")
    trunk = Trunk(
        uuid7(), tenant.id, "c", (ipaddress.ip_network("198.51.100.0/24"), ipaddress.ip_network("2001:db8::/48"))
    )
    return TenantPicture(tenant, (phone, nameless), (trunk,))


def place(**more: object) -> Place:
    given = {
        "outer": "10.1.0.5",
        "public": "203.0.113.5",
        "inner": "10.0.0.5",
        "nodes": "10.0.0.11:5060,[fd00::2]:5062",
    }
    return Place(**(given | more))  # type: ignore[arg-type]


ACME, GLOBEX, GONE = picture("acme"), picture("globex"), picture("gone", status="suspended")


def rendered(**more: object) -> dict[str, str]:
    where = place(**more)
    return render(where, KEYS, view([GLOBEX, GONE, ACME], where.digest), FOLDER)


def rows(table: str) -> list[list[str]]:
    return [re.split(r"(?<!\\):", line) for line in table.splitlines()[1:]]


def test_accounts_are_those_of_active_tenants_each_in_its_own_domains() -> None:
    made = rows(rendered()["db/subscriber"])
    assert [row[0] for row in made] == [str(n) for n in range(1, 9)]
    by_account = {(row[1], row[2]): row[3:] for row in made}
    domains = {f"{prefix}{slug}.sip.example" for slug in ("acme", "globex") for prefix in ("", "old-")}
    assert set(by_account) == {(user, domain) for user in ("100", "100-0a1b") for domain in domains}
    expected = hashlib.md5(b"100:acme.sip.example:pw-acme").hexdigest()
    assert by_account["100", "acme.sip.example"] == [expected, "100", f"{ACME.tenant.id}.phones.invalid"]
    # A softphone is the extension's, and has a secret of its own.
    laptop = by_account["100-0a1b", "old-acme.sip.example"]
    assert laptop[0] == hashlib.md5(b"100-0a1b:old-acme.sip.example:laptop").hexdigest()
    assert laptop[1:] == by_account["100", "acme.sip.example"][1:]


def test_sha_256_where_the_operator_asks_for_it() -> None:
    made = rendered(digest="SHA-256")
    ha1 = {row[3] for row in rows(made["db/subscriber"]) if row[1:3] == ["100", "acme.sip.example"]}
    assert ha1 == {hashlib.sha256(b"100:acme.sip.example:pw-acme").hexdigest()}
    assert 'modparam("auth", "algorithm", "SHA-256")' in made["kamailio.cfg"]
    assert '"algorithm"' not in rendered()["kamailio.cfg"]


def test_domains_networks_and_nodes() -> None:
    made = rendered()
    assert ["acme.sip.example", str(ACME.tenant.id)] in [row[1:3] for row in rows(made["db/domain"])]
    assert "gone" not in made["db/domain"] and "gone" not in made["db/subscriber"]
    lines = [line for line in made["address.list"].splitlines() if not line.startswith("#")]
    assert lines == ["1 198.51.100.0 24 0", "1 [2001:db8::] 48 0"]  # of both tenants, once
    nodes = [line.split()[1] for line in made["dispatcher.list"].splitlines() if not line.startswith("#")]
    assert nodes == ["sip:10.0.0.11:5060", "sip:[fd00::2]:5062"]


def test_sockets_and_what_is_told_behind_nat() -> None:
    secure = rendered(certificate="/etc/edge.crt", certificate_key="/etc/edge.key")
    listening = re.findall(r"^listen = (.*)$", secure["kamailio.cfg"], re.M)
    assert listening == [
        "udp:10.1.0.5:5060 advertise 203.0.113.5:5060",
        "tcp:10.1.0.5:5060 advertise 203.0.113.5:5060",
        "tls:10.1.0.5:5061 advertise 203.0.113.5:5061",
        "tls:10.1.0.5:8443 advertise 203.0.113.5:8443",
        'udp:10.0.0.5:5070 name "inner"',
    ]
    assert "/etc/edge.key" in secure["tls.cfg"] and '"websocket.so"' in secure["kamailio.cfg"]
    assert "interface = outer/10.1.0.5!203.0.113.5;inner/10.0.0.5" in secure["rtpengine.conf"]
    plain = rendered(public="")
    assert "tls.cfg" not in plain and "tls" not in re.findall(r"^listen = (\w+)", plain["kamailio.cfg"], re.M)
    assert "advertise" not in plain["kamailio.cfg"] and "websocket" not in plain["kamailio.cfg"]
    assert "interface = outer/10.1.0.5;inner/10.0.0.5" in plain["rtpengine.conf"]
    without = rendered(certificate="/etc/edge.crt", certificate_key="/etc/edge.key", wss_port=0)["kamailio.cfg"]
    assert "websocket" not in without and "listen = tls:10.1.0.5:5061" in without


def test_every_header_of_ours_is_taken_from_what_comes_from_outside() -> None:
    main = rendered()["routes.cfg"].partition("request_route {")[2].partition("\n}\n")[0]
    outside = main.partition("route(STRANGERS);")[2]
    removed, _, rest = outside.partition("force_rport();")
    assert {f'remove_hf("{name}");' for name in HEADERS} <= {line.strip() for line in removed.splitlines()}
    assert "has_totag" in rest  # before anything goes anywhere


def test_text_that_is_assigned_names_no_variable() -> None:
    """Kamailio takes it as it stands: only in a function's parameter is it looked through."""
    assigned = re.findall(r"\$\w+(?:\([^)]*\))? = (.*);", rendered()["routes.cfg"])
    quoted = [text for one in assigned for text in re.findall(r'"([^"]*)"', one)]
    assert len(quoted) > 8 and not [text for text in quoted if "$" in text]


def test_the_same_database_gives_the_same_files() -> None:
    assert rendered() == rendered()
    assert "ab" * 32 not in "".join(text for name, text in rendered().items() if name != "kamailio.cfg")
    assert KEYS.token not in repr(KEYS) and "pw-acme" not in "".join(rendered().values())


def test_a_field_may_hold_what_separates_fields() -> None:
    odd = replace(ACME, tenant=replace(ACME.tenant, domains=("a:b\\c.example",)))
    made = render(place(), KEYS, view([odd], "MD5"), FOLDER)["db/domain"]
    assert rows(made)[0][1] == "a\\:b\\\\c.example"


def test_files_are_the_owners_alone_and_kamailios_own_are_left(tmp_path: Path) -> None:
    out = tmp_path / "edge"
    wanted = render(place(), KEYS, view([ACME], "MD5"), out)
    assert set(folder.write(out, wanted, state())) == set(wanted)
    assert all(path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600) for path in (out, *out.rglob("*")))
    assert folder.differing(out, wanted) == []
    location = out / "state" / "location"
    location.write_text(location.read_text() + "1:phones\n")
    (out / "db" / "subscriber").chmod(0o640)
    assert folder.differing(out, wanted) == ["db/subscriber"]
    fewer = render(place(), KEYS, view([GLOBEX], "MD5"), out)
    changed = folder.write(out, fewer, state())
    assert set(changed) == {"db/subscriber", "db/domain"} and location.read_text().endswith("1:phones\n")
    assert folder.orders(changed) == ["domain.reload"]
    assert folder.orders(["address.list", "dispatcher.list"]) == ["permissions.addressReload", "dispatcher.reload"]
    assert folder.orders(["kamailio.cfg", "db/domain"]) == ["restart"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"outer": "edge.example"}, "outer"),
        ({"nodes": "10.0.0.11"}, "nodes"),
        ({"nodes": ""}, "nodes"),
        ({"inner": "10.1.0.5", "inner_port": 5060}, "inner port"),
        ({"certificate": "/etc/edge.crt"}, "certificate_key"),
    ],
)
def test_a_place_that_cannot_be_is_refused(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        place(**wrong)
