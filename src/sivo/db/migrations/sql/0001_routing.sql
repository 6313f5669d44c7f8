-- Bindings of phones (RFC 3261 §10): one row per extension and contact. Written behind by the registrar, which answers
-- from memory and reads this table only when it starts.
create table registration (
    tenant_id    uuid        not null,
    extension_id uuid        not null,
    contact      text        not null,
    extension    text        not null,
    source_host  text        not null,
    source_port  integer     not null check (source_port between 1 and 65535),
    sip_call_id  text        not null,
    cseq         bigint      not null,
    user_agent   text        not null default '',
    registered_at timestamptz not null,
    expires_at   timestamptz not null,
    primary key (extension_id, contact)
);
create index registration_tenant on registration (tenant_id, extension);
create index registration_expiry on registration (expires_at);
select sivo_tenant_table('registration');
