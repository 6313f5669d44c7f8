"""Who may what: one table, permission × role. The gates of the routes read it, the reference page is made from it, and
a test asks every route with every role whether it holds.

A viewer reads what a supervisor reads and does nothing to a call that is running; the audit log is the exception, its
readers are named one by one. An agent sees what is theirs. A superadmin may everything, in any tenant, and stands in
that tenant's audit log with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The five roles of the product."""

    AGENT = "agent"
    VIEWER = "viewer"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"
    SUPERADMIN = "superadmin"


class Reach(StrEnum):
    """How far a permission goes for a role."""

    NONE = "–"
    #: Only what belongs to the person; the route narrows its query.
    OWN = "own"
    #: Some fields only.
    PART = "part"
    ALL = "yes"


class Permission(StrEnum):
    """What a route names; every route names one."""

    OWN_PROFILE = "own-profile"
    COLLEAGUES_READ = "colleagues:read"
    CONFIG_READ = "config:read"
    CONFIG_INSPECT = "config:inspect"
    CONFIG_WRITE = "config:write"
    RESOURCES_READ = "resources:read"
    RESOURCES_WRITE = "resources:write"
    LOGINS_MANAGE = "logins:manage"
    API_KEYS_MANAGE = "api-keys:manage"
    SECRETS_READ = "secrets:read"
    SECRETS_WRITE = "secrets:write"
    PROVIDERS_TEST = "providers:test"
    CALLS_READ = "calls:read"
    CALLS_TRACE = "calls:trace"
    CALLS_CONTROL = "calls:control"
    TRANSCRIPTS_READ = "transcripts:read"
    RECORDINGS_LISTEN = "recordings:listen"
    RECORDINGS_DOWNLOAD = "recordings:download"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    TRUNKS_WATCH = "trunks:watch"
    EDGE_MANAGE = "edge:manage"
    LEADS_READ = "leads:read"
    LEADS_MANAGE = "leads:manage"
    MAIL_READ = "mail:read"
    LEDGER_VERIFY = "ledger:verify"
    AUDIT_READ = "audit:read"
    TENANT_READ = "tenant:read"
    TENANT_EXPORT = "tenant:export"
    TENANTS_MANAGE = "tenants:manage"
    PLATFORM_MANAGE = "platform:manage"


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of the table. A superadmin's reach is always all."""

    covers: str
    agent: Reach = Reach.NONE
    viewer: Reach = Reach.NONE
    supervisor: Reach = Reach.NONE
    admin: Reach = Reach.NONE

    def reach(self, role: Role) -> Reach:
        """How far it goes for ``role``."""
        if role is Role.SUPERADMIN:
            return Reach.ALL
        found: Reach = getattr(self, role.value)
        return found

    @property
    def roles(self) -> frozenset[Role]:
        """The roles that it lets in."""
        return frozenset(role for role in Role if self.reach(role) is not Reach.NONE)


def _everyone(covers: str, agent: Reach = Reach.ALL) -> Grant:
    return Grant(covers, agent, Reach.ALL, Reach.ALL, Reach.ALL)


def _staff(covers: str) -> Grant:
    return _everyone(covers, Reach.NONE)


def _admin(covers: str) -> Grant:
    return Grant(covers, admin=Reach.ALL)


TABLE: dict[Permission, Grant] = {
    Permission.OWN_PROFILE: _everyone("own password, second factors, sessions and softphone"),
    Permission.COLLEAGUES_READ: _everyone("names and extensions of colleagues"),
    Permission.CONFIG_READ: _everyone("effective configuration; an agent sees `tenant.*`", Reach.PART),
    Permission.CONFIG_INSPECT: _staff("history, differences and export of the configuration, explanations of calls"),
    Permission.CONFIG_WRITE: _admin("change, plan, apply and roll back configuration"),
    Permission.RESOURCES_READ: _staff(
        "users, extensions, queues, IVR flows, DIDs, trunks, schedules, policies, AI agents"
    ),
    Permission.RESOURCES_WRITE: _admin("create, change and delete the same"),
    Permission.LOGINS_MANAGE: _admin("passwords, sessions, lockouts, second factors and invitations of other people"),
    Permission.API_KEYS_MANAGE: _admin("API keys of machines"),
    Permission.SECRETS_READ: _staff("names, hosts and fingerprints of provider secrets"),
    Permission.SECRETS_WRITE: _admin("store, reveal and delete provider secrets"),
    Permission.PROVIDERS_TEST: _admin("try out providers"),
    Permission.CALLS_READ: _everyone("CDRs, and the configuration that a call read", Reach.OWN),
    Permission.CALLS_TRACE: _staff("traces of calls: SIP, turns, decisions"),
    Permission.CALLS_CONTROL: Grant(
        "transfer, press keys, listen in, whisper, barge in, invite, send away", supervisor=Reach.ALL, admin=Reach.ALL
    ),
    Permission.TRANSCRIPTS_READ: _everyone("transcripts", Reach.OWN),
    Permission.RECORDINGS_LISTEN: _everyone("recordings: state and listening", Reach.OWN),
    Permission.RECORDINGS_DOWNLOAD: _admin("recordings: download"),
    Permission.WEBHOOKS_READ: _staff("webhook endpoints and deliveries"),
    Permission.WEBHOOKS_WRITE: _admin("webhook endpoints, payloads of deliveries, replays and tests"),
    Permission.TRUNKS_WATCH: _staff("whether trunks answer"),
    Permission.EDGE_MANAGE: _admin("bans of password guessers at the SIP edge"),
    Permission.LEADS_READ: _staff("leads of the public form"),
    Permission.LEADS_MANAGE: _admin("delete and export leads"),
    Permission.MAIL_READ: _admin("mails that the platform sent for the tenant"),
    Permission.LEDGER_VERIFY: _staff("verify the ledger of changes"),
    Permission.AUDIT_READ: Grant("audit log: list, export, verify", supervisor=Reach.ALL, admin=Reach.ALL),
    Permission.TENANT_READ: _staff("the own tenant: name, plan, hosts"),
    Permission.TENANT_EXPORT: _admin("everything of the own tenant as one archive"),
    Permission.TENANTS_MANAGE: Grant("create, change, suspend and delete tenants; feature flags"),
    Permission.PLATFORM_MANAGE: Grant("token signing keys, limits, platform configuration, exports of all tenants"),
}


def roles_of(permission: Permission) -> frozenset[Role]:
    """The roles that the table lets in."""
    return TABLE[permission].roles
