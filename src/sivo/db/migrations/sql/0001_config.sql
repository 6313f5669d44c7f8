-- The configuration plane: values, resources, and the hash-chained ledger that is their only way in.
-- The nil UUID as tenant_id stands for the platform.

create table ledger_head (
    tenant_id uuid   primary key,
    seq       bigint not null,
    hash      bytea  not null
);
select sivo_tenant_table('ledger_head');
revoke delete on ledger_head from sivo_tenant, sivo_platform;

-- One row a change-set. `canonical` is the hashed document; what stands beside it is derived from it or checked by
-- `sivo ledger verify`.
create table ledger_entry (
    tenant_id uuid        not null,
    seq       bigint      not null,
    at        timestamptz not null,
    author    text        not null generated always as ((canonical::jsonb) ->> 'author') stored,
    reason    text        not null generated always as ((canonical::jsonb) ->> 'reason') stored,
    canonical text        not null,
    prev      bytea       not null,
    hash      bytea       not null check (hash = sha256(convert_to(canonical, 'UTF8'))),
    signature bytea       not null,
    key_id    text        not null,
    txid      xid8        not null default pg_current_xact_id(),
    primary key (tenant_id, seq)
);
select sivo_tenant_table('ledger_entry');
revoke update, delete on ledger_entry from sivo_tenant, sivo_platform;

-- The changes of an entry one by one, for history and for the guards below. Filled from the hashed document only.
create table ledger_change (
    tenant_id uuid   not null,
    seq       bigint not null,
    n         int    not null,
    target    text   not null,
    before    jsonb,
    after     jsonb,
    primary key (tenant_id, seq, n),
    foreign key (tenant_id, seq) references ledger_entry (tenant_id, seq)
);
create index ledger_change_target on ledger_change (tenant_id, target, seq desc);
select sivo_tenant_table('ledger_change');
revoke update, delete on ledger_change from sivo_tenant, sivo_platform;

create function ledger_entry_unfold() returns trigger
language plpgsql set search_path = public as $$
begin
    insert into ledger_change (tenant_id, seq, n, target, before, after)
        select new.tenant_id, new.seq, (c.ordinality - 1)::int, c.value ->> 'target',
               nullif(c.value -> 'before', 'null'::jsonb), nullif(c.value -> 'after', 'null'::jsonb)
        from jsonb_array_elements((new.canonical::jsonb) -> 'changes') with ordinality as c;
    return null;
end $$;
create trigger unfold after insert on ledger_entry for each row execute function ledger_entry_unfold();

create function ledger_change_only_unfolded() returns trigger
language plpgsql set search_path = public as $$
begin
    if pg_trigger_depth() < 2 then
        raise exception 'ledger_change is filled from ledger_entry only';
    end if;
    return new;
end $$;
create trigger only_unfolded before insert on ledger_change
    for each row execute function ledger_change_only_unfolded();

-- True when the newest entry of the tenant's chain was written by this very transaction and changes `wanted` to
-- `value` (SQL null: removes it).
create function ledger_covers(chain uuid, wanted text, value jsonb) returns boolean
language sql stable set search_path = public as $$
    select exists (
        select 1
        from ledger_change c
        join ledger_entry e on e.tenant_id = c.tenant_id and e.seq = c.seq
        join ledger_head h on h.tenant_id = c.tenant_id and h.seq = c.seq
        where c.tenant_id = chain and c.target = wanted and c.after is not distinct from value
          and e.txid = pg_current_xact_id_if_assigned())
$$;

create table config_value (
    tenant_id uuid        not null,
    scope     text        not null check (scope in ('platform', 'plan', 'tenant', 'org')),
    -- Plan name or org id; empty for the other scopes.
    target    text        not null default '',
    key       text        not null,
    value     jsonb       not null,
    locked    boolean     not null default false,
    author    text        not null,
    at        timestamptz not null,
    reason    text        not null default '',
    seq       bigint      not null,
    primary key (tenant_id, scope, target, key),
    check ((tenant_id = '00000000-0000-0000-0000-000000000000') = (scope in ('platform', 'plan')))
);
select sivo_tenant_table('config_value');
-- What platform and plan say is no secret from a tenant: it lives by it.
create policy platform_values on config_value for select to sivo_tenant
    using (tenant_id = '00000000-0000-0000-0000-000000000000');

create table resource (
    tenant_id  uuid        not null,
    kind       text        not null,
    id         uuid        not null,
    body       jsonb       not null,
    -- field -> fingerprint of what the vault holds.
    secrets    jsonb       not null default '{}',
    -- Sequence number of the change-set that wrote it; the resource's ETag.
    version    bigint      not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (id)
);
create index resource_kind on resource (tenant_id, kind, id);
select sivo_tenant_table('resource');

-- Names that are unique within `owner` (a tenant, or the nil UUID: on the whole platform). Also the directory's way
-- from a domain, an e-mail address or a DID to its tenant.
create table unique_name (
    space       text        not null,
    owner       uuid        not null,
    name        text        not null,
    tenant_id   uuid        not null,
    kind        text        not null,
    id          uuid        not null,
    -- A domain that was replaced stays valid until then.
    valid_until timestamptz,
    primary key (space, owner, name)
);
create index unique_name_of on unique_name (tenant_id, kind, id);
select sivo_tenant_table('unique_name');
select sivo_directory_table('unique_name');
grant select (space, owner, name, tenant_id, kind, id, valid_until) on unique_name to sivo_directory;

create view name_directory with (security_invoker = true) as
    select space, name, tenant_id, kind, id, valid_until from unique_name
    where owner = '00000000-0000-0000-0000-000000000000';
grant select on name_directory to sivo_directory;

create table config_snapshot (
    tenant_id  uuid        not null,
    hash       text        not null,
    body       jsonb       not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, hash)
);
select sivo_tenant_table('config_snapshot');
revoke update on config_snapshot from sivo_tenant, sivo_platform;

create function guard_config_value() returns trigger
language plpgsql set search_path = public as $$
declare
    row_ config_value := coalesce(new, old);
    wanted text := 'key/' || row_.scope || '/' || row_.target || '/' || row_.key;
    value jsonb;
begin
    if tg_op <> 'DELETE' then
        value := jsonb_build_object('value', new.value, 'locked', new.locked);
    end if;
    if not ledger_covers(row_.tenant_id, wanted, value) then
        raise exception 'write to config_value (%) without a ledger entry', wanted using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;
create trigger guard after insert or update or delete on config_value
    for each row execute function guard_config_value();

create function guard_resource() returns trigger
language plpgsql set search_path = public as $$
declare
    row_ resource := coalesce(new, old);
    wanted text := row_.kind || '/' || row_.id;
    value jsonb;
begin
    if tg_op <> 'DELETE' then
        value := jsonb_build_object('body', new.body, 'secrets', new.secrets);
    end if;
    if not ledger_covers(row_.tenant_id, wanted, value) then
        raise exception 'write to resource (%) without a ledger entry', wanted using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;
create trigger guard after insert or update or delete on resource
    for each row execute function guard_resource();

create function guard_tenant() returns trigger
language plpgsql set search_path = public as $$
declare
    row_ tenant := coalesce(new, old);
    wanted text := 'tenant/' || row_.id;
    value jsonb;
begin
    if tg_op <> 'DELETE' then
        value := jsonb_build_object('body', jsonb_build_object('name', new.name, 'plan', new.plan, 'slug', new.slug,
                                                               'status', new.status), 'secrets', '{}'::jsonb);
        if tg_op = 'UPDATE' and (new.name, new.plan, new.slug, new.status)
                                = (old.name, old.plan, old.slug, old.status) then
            return null;
        end if;
    end if;
    if not ledger_covers(row_.id, wanted, value) then
        raise exception 'write to tenant (%) without a ledger entry', wanted using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;
create trigger guard after insert or update or delete on tenant
    for each row execute function guard_tenant();
