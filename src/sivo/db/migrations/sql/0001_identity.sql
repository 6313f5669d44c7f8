-- Room identity: password hashes, sessions, token signing keys.
-- Users themselves are resources (kind "user"); only what must never be read with them stands here.

create table credential (
    user_id       uuid primary key references resource (id) on delete cascade,
    tenant_id     uuid not null references tenant (id) on delete cascade,
    password_hash text not null,            -- argon2id in PHC string format
    changed_at    timestamptz not null,
    changed_by    text not null             -- author: user:<uuid> or local:<uid>
);
select sivo_tenant_table('credential');
create index credential_tenant on credential (tenant_id);

create table session (
    id          uuid primary key,           -- claim sid
    tenant_id   uuid not null references tenant (id) on delete cascade,
    user_id     uuid not null references resource (id) on delete cascade,
    created_at  timestamptz not null,
    expires_at  timestamptz not null,       -- exp of the access token
    revoked_at  timestamptz
);
select sivo_tenant_table('session');
-- A token names its session; the session names the tenant.
select sivo_directory_table('session');
grant select (id, tenant_id) on session to sivo_directory;
create index session_by_user on session (tenant_id, user_id);
create index session_expiry on session (expires_at);

-- Private halves are sealed under the platform key of the vault. Not a tenant's table.
create table signing_key (
    kid            text primary key,
    public_jwk     jsonb not null,
    private_sealed bytea not null,
    created_at     timestamptz not null,
    retired_at     timestamptz              -- no longer signs; still verifies until its last token has expired
);
select sivo_platform_table('signing_key');
