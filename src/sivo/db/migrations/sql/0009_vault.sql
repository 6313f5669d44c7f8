-- Key-encryption keys by id: which one wraps new data keys, which still open, which a rotation retired for good.
create table kek (
    kek_id     text        primary key,
    state      text        not null check (state in ('active', 'readable', 'retired')),
    created_at timestamptz not null default now(),
    retired_at timestamptz
);
create unique index kek_active on kek ((true)) where state = 'active';
select sivo_platform_table('kek');
create index tenant_key_kek on tenant_key (kek_id);

-- The value before this one, valid beside it until then (webhook signing secrets that are being rotated).
alter table secret add column previous_sealed bytea, add column previous_until timestamptz;

-- When a secret was last sent somewhere, to the minute.
create table secret_use (
    tenant_id    uuid        not null,
    name         text        not null,
    last_used_at timestamptz not null,
    primary key (tenant_id, name),
    foreign key (tenant_id, name) references secret (tenant_id, name) on delete cascade
);
select sivo_tenant_table('secret_use');

-- Endpoints that fail: since when without a break, and whether they were switched off for it. No row: healthy.
create table webhook_health (
    endpoint_id   uuid        primary key,
    tenant_id     uuid        not null,
    failing_since timestamptz not null,
    failures      integer     not null,
    last_error    text        not null default '',
    disabled_at   timestamptz,
    -- The endpoint's version when it was switched off: saving it again switches it on.
    version       bigint
);
select sivo_tenant_table('webhook_health');
