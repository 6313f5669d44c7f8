-- One row per message: it is the job and the record. Recipient and text, with the one-time link in it, stand only in
-- `sealed`, under the tenant's key, and are emptied when the message is sent or dead.
create table mail_message (
    id            uuid        primary key,
    tenant_id     uuid        not null references tenant (id) on delete cascade,
    template      text        not null,
    language      text        not null,
    -- The user or lead that it is about; erasing that takes the message along.
    about         uuid,
    sealed        bytea,
    state         text        not null check (state in ('pending', 'sent', 'dead')),
    -- `started` counts claims, `attempts` counts outcomes: a row that keeps killing its worker is seen.
    attempts      integer     not null default 0,
    started       integer     not null default 0,
    due_at        timestamptz not null,
    -- Of no use afterwards: a link in it has run out.
    expires_at    timestamptz not null,
    claimed_until timestamptz,
    claimed_by    text,
    last_code     integer,
    last_error    text,
    created_at    timestamptz not null,
    finished_at   timestamptz,
    check (state = 'pending' or sealed is null)
);
create index mail_message_due on mail_message (due_at, id) where state = 'pending';
create index mail_message_listing on mail_message (tenant_id, id desc);
create index mail_message_finished on mail_message (finished_at) where finished_at is not null;
create index mail_message_about on mail_message (tenant_id, about) where about is not null;
select sivo_tenant_table('mail_message');

-- Links that serve once. SHA-256 of 256 random bits needs no salt.
create table one_time_link (
    token_hash bytea       primary key,
    tenant_id  uuid        not null references tenant (id) on delete cascade,
    user_id    uuid        not null references resource (id) on delete cascade,
    purpose    text        not null check (purpose in ('invitation', 'password_reset', 'email_change')),
    new_email  text,
    author     text        not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at    timestamptz,
    -- A newer link of the purpose, or a new password or address, ended it.
    ended_at   timestamptz
);
create unique index one_time_link_open on one_time_link (user_id, purpose) where used_at is null and ended_at is null;
create index one_time_link_tenant on one_time_link (tenant_id);
select sivo_tenant_table('one_time_link');
-- A link names its tenant.
select sivo_directory_table('one_time_link');
grant select (token_hash, tenant_id) on one_time_link to sivo_directory;

-- What somebody typed into "forgot my password", known or not: one row either way, worked off behind the answer.
create table forgotten_password (
    id         uuid        primary key,
    sealed     bytea       not null,
    created_at timestamptz not null
);
select sivo_platform_table('forgotten_password');
create index forgotten_password_age on forgotten_password (created_at);

-- People who left their address with a tenant. Who they are and what they wrote is sealed under the tenant's key.
create table lead (
    id              uuid        primary key,
    tenant_id       uuid        not null references tenant (id) on delete cascade,
    sealed          bytea       not null,
    source          text        not null,
    locale          text        not null,
    consent_at      timestamptz not null,
    consent_version text        not null,
    created_at      timestamptz not null,
    -- Sealed at creation; gone after it.
    expires_at      timestamptz not null
);
create index lead_listing on lead (tenant_id, id desc);
create index lead_expiry on lead (expires_at);
select sivo_tenant_table('lead');
