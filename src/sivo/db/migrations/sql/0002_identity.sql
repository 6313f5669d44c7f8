-- Room identity in full: refresh tokens, second factors, lockout, devices, limits that survive a crash, key rotation.

-- A session lives as long as its refresh tokens may (auth.refresh_ttl_sec at login); access tokens end earlier.
alter table session
    add column kind          text not null default 'console' check (kind in ('console', 'phone')),
    add column parent_id     uuid references session (id) on delete cascade,
    add column used_at       timestamptz,
    add column confirmed_at  timestamptz,           -- when password or factor was last shown (step-up)
    add column factor        text,                  -- second factor of the login: totp, webauthn, recovery; null = none
    add column address       text not null default '',
    add column client        text not null default '',
    add column ended_because text,
    -- The refresh chain of the session: generation of the token in force, its predecessor and when that was used.
    add column generation    integer not null default 0,
    add column predecessor   bytea,
    add column rotated_at    timestamptz,
    add column grace_used    boolean not null default false;
create index session_by_parent on session (parent_id) where parent_id is not null;

create table refresh_token (
    token_hash bytea primary key,                   -- SHA-256; 256 random bits need no salt
    tenant_id  uuid not null references tenant (id) on delete cascade,
    session_id uuid not null references session (id) on delete cascade,
    generation integer not null,
    created_at timestamptz not null
);
select sivo_tenant_table('refresh_token');
-- A refresh token names its tenant.
select sivo_directory_table('refresh_token');
grant select (token_hash, tenant_id) on refresh_token to sivo_directory;
create index refresh_token_session on refresh_token (session_id);
create index refresh_token_tenant on refresh_token (tenant_id);

create table factor (
    id            uuid primary key,
    tenant_id     uuid not null references tenant (id) on delete cascade,
    user_id       uuid not null references resource (id) on delete cascade,
    kind          text not null check (kind in ('totp', 'webauthn')),
    name          text not null,
    secret_sealed bytea,                            -- totp: sealed under the tenant's key
    last_step     bigint not null default 0,        -- totp: youngest time step that was accepted
    credential_id bytea unique,
    public_key    bytea,                            -- webauthn: COSE key
    sign_count    bigint not null default 0,
    rp_id         text,
    created_at    timestamptz not null,
    confirmed_at  timestamptz,                      -- null: enrolment is not finished
    used_at       timestamptz
);
select sivo_tenant_table('factor');
create index factor_by_user on factor (tenant_id, user_id);

create table recovery_code (
    tenant_id uuid not null references tenant (id) on delete cascade,
    user_id   uuid not null references resource (id) on delete cascade,
    code_hash bytea not null,
    used_at   timestamptz,
    primary key (user_id, code_hash)
);
select sivo_tenant_table('recovery_code');
create index recovery_code_tenant on recovery_code (tenant_id);

-- A login between password and second factor, or a step-up; its id is the jti of the half-signed-in token.
create table pending_login (
    id         uuid primary key,
    tenant_id  uuid not null references tenant (id) on delete cascade,
    user_id    uuid not null references resource (id) on delete cascade,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    address    text not null default '',
    client     text not null default '',
    challenge  bytea,                               -- of the WebAuthn ceremony under way
    done_at    timestamptz
);
select sivo_tenant_table('pending_login');
select sivo_directory_table('pending_login');
grant select (id, tenant_id) on pending_login to sivo_directory;
create index pending_login_by_user on pending_login (tenant_id, user_id);

-- Failed logins by account and network. `account` is a keyed fingerprint of the e-mail address, known or not, so that
-- unknown ones behave like known ones; network '' counts the whole account.
create table login_lock (
    account      text not null,
    network      text not null,
    failures     timestamptz[] not null default '{}',
    level        integer not null default 0,
    locked_until timestamptz,
    updated_at   timestamptz not null,
    primary key (account, network)
);
select sivo_platform_table('login_lock');
create index login_lock_age on login_lock (updated_at);

-- Requests under an exact limit. An ordinary logged table, so that a crash forgets nothing.
create table rate_window (
    limit_name text not null,
    counted_by text not null,
    taken      timestamptz[] not null default '{}',
    updated_at timestamptz not null,
    primary key (limit_name, counted_by)
);
select sivo_platform_table('rate_window');
create index rate_window_age on rate_window (updated_at);

-- The general limit across processes: batches of requests that each process has let through. A crash may forget them.
create unlogged table rate_batch (
    id         bigint generated always as identity primary key,
    counted_by text not null,
    process    uuid not null,
    taken      timestamptz[] not null,
    newest     timestamptz not null
);
select sivo_platform_table('rate_batch');
create index rate_batch_counted on rate_batch (counted_by, newest);

-- Limits that the operator set apart from the published ones.
create table rate_override (
    limit_name text not null,
    subject    text not null,                       -- 'platform', 'tenant:<uuid>' or 'network:<cidr>'
    amount     integer not null check (amount > 0),
    author     text not null,
    reason     text not null default '',
    at         timestamptz not null,
    primary key (limit_name, subject)
);
select sivo_platform_table('rate_override');

-- Softphones: a SIP account of a user's extension for one device; it ends with its session.
create table device (
    id            uuid primary key,
    tenant_id     uuid not null references tenant (id) on delete cascade,
    session_id    uuid not null references session (id) on delete cascade,
    user_id       uuid not null references resource (id) on delete cascade,
    extension_id  uuid not null references resource (id) on delete cascade,
    auth_user     text not null,
    secret_sealed bytea not null,
    created_at    timestamptz not null
);
select sivo_tenant_table('device');
create unique index device_auth_user on device (tenant_id, auth_user);
create index device_session on device (session_id);
-- With which digest user name a phone registered; a device's bindings go with it.
alter table registration add column account text not null default '';

-- A key is published first, signs from `signs_from` until its successor does, verifies until its last token has
-- expired, and is gone at once when it was revoked.
alter table signing_key
    add column signs_from  timestamptz not null default now(),
    add column revoked_at  timestamptz,
    add column revoked_why text;
alter table signing_key alter column signs_from drop default;
