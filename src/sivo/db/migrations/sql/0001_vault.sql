-- Keys and secrets. A data-encryption key is stored wrapped under the key-encryption key `kek_id`; a secret is stored
-- sealed under its tenant's key. Deleting a tenant's keys makes everything sealed under them unreadable for good.

create table platform_key (
    key_id     uuid        primary key,
    wrapped    bytea       not null,
    kek_id     text        not null,
    created_at timestamptz not null default now(),
    retired_at timestamptz               -- seals no more; still opens what it sealed
);
create unique index platform_key_active on platform_key ((true)) where retired_at is null;
select sivo_platform_table('platform_key');

-- Things of the platform itself, sealed under the platform key (for example the key that signs the ledger).
create table platform_item (
    name       text        primary key,
    sealed     bytea       not null,
    created_at timestamptz not null default now()
);
select sivo_platform_table('platform_item');

create table tenant_key (
    key_id     uuid        primary key,
    tenant_id  uuid        not null,
    wrapped    bytea       not null,
    kek_id     text        not null,
    created_at timestamptz not null default now(),
    retired_at timestamptz
);
create unique index tenant_key_active on tenant_key (tenant_id) where retired_at is null;
select sivo_tenant_table('tenant_key');

create table secret (
    tenant_id   uuid        not null,
    name        text        not null check (length(name) between 1 and 200),
    sealed      bytea       not null,
    host        text,                      -- the only host that the value may be sent to; null = not bound
    fingerprint text        not null,
    updated_at  timestamptz not null default now(),
    primary key (tenant_id, name)
);
select sivo_tenant_table('secret');
