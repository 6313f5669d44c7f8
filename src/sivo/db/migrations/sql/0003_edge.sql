-- What the SIP edge noticed. Written behind by the call role, read by administrators.

-- A source (address) or an account (extension) that guessed passwords and is not heard until ``until_at``.
create table sip_ban (
    id         uuid        primary key,
    tenant_id  uuid        not null,
    kind       text        not null check (kind in ('source', 'account')),
    subject    text        not null,
    source     text        not null,
    account    text        not null,
    attempts   integer     not null,
    since_at   timestamptz not null,
    until_at   timestamptz not null,
    lifted_at  timestamptz
);
create index sip_ban_tenant on sip_ban (tenant_id, since_at desc);
select sivo_tenant_table('sip_ban');

-- How a trunk is: its answer to OPTIONS, and our registration at the carrier.
create table trunk_state (
    trunk_id            uuid        primary key,
    tenant_id           uuid        not null,
    node                text        not null,
    health              text        not null check (health in ('up', 'down', 'unknown')),
    reason              text        not null default '',
    round_trip_ms       integer,
    checked_at          timestamptz,
    registration        text        not null check (registration in ('none', 'registered', 'trying', 'refused')),
    registration_reason text        not null default '',
    registered_until    timestamptz
);
create index trunk_state_tenant on trunk_state (tenant_id);
select sivo_tenant_table('trunk_state');
