-- API keys of machines, and tenants that are deleted for good.

-- The secret half of a key. Name, role, scopes and expiry are its resource (kind "api_key") and so stand in the ledger;
-- a key that was revoked has neither.
create table api_key (
    id             uuid primary key references resource (id) on delete cascade,
    tenant_id      uuid not null references tenant (id) on delete cascade,
    prefix         text not null unique,            -- the visible part, by which a key is found
    key_hash       bytea not null,                  -- SHA-256 of the whole key; 238 random bits need no salt
    last_used_at   timestamptz,                     -- to the minute: written behind
    last_used_from text not null default ''
);
select sivo_tenant_table('api_key');
-- A key names its tenant.
select sivo_directory_table('api_key');
grant select (prefix, tenant_id) on api_key to sivo_directory;
create index api_key_tenant on api_key (tenant_id);

-- A tenant is deleted in two steps: it is refused everywhere until `delete_at` and can be restored; then its keys are
-- destroyed (`shredded_at`), which nobody takes back, and its rows and objects follow.
alter table tenant drop constraint tenant_status_check;
alter table tenant
    add constraint tenant_status_check check (status in ('active', 'suspended', 'deleting')),
    add column status_before         text,
    add column deletion_requested_at timestamptz,
    add column deletion_by           text,
    add column deletion_reason       text,
    add column delete_at             timestamptz,
    add column shredded_at           timestamptz,
    add constraint tenant_shredded check (shredded_at is null or status = 'deleting');
create index tenant_to_delete on tenant (delete_at) where status = 'deleting';

-- What is left of a deleted tenant: that it was there, who had it deleted and why, and how much went. Also the job.
create table deleted_tenant (
    id            uuid primary key,
    slug          text not null,
    plan          text not null,
    requested_at  timestamptz,
    requested_by  text not null default '',
    reason        text not null default '',
    started_at    timestamptz not null,
    claimed_until timestamptz,
    shredded_at   timestamptz,
    objects       bigint not null default 0,
    rows          jsonb not null default '{}',      -- table -> rows
    finished_at   timestamptz
);
select sivo_platform_table('deleted_tenant');

-- Whether the keys of a tenant are destroyed: from then on its rows may go, ledger included.
create function sivo_shredded(wanted uuid) returns boolean
language sql stable set search_path = public as $$
    select exists (select 1 from tenant where id = wanted and shredded_at is not null)
$$;

-- Nobody makes a new data key for a tenant whose keys were destroyed.
create function guard_tenant_key() returns trigger
language plpgsql set search_path = public as $$
begin
    if sivo_shredded(new.tenant_id) then
        raise exception 'the keys of tenant % were destroyed', new.tenant_id using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
create trigger guard before insert on tenant_key for each row execute function guard_tenant_key();

create function guard_append_only() returns trigger
language plpgsql set search_path = public as $$
begin
    if not sivo_shredded(old.tenant_id) then
        raise exception 'rows of % are never deleted', tg_table_name using errcode = 'insufficient_privilege';
    end if;
    return old;
end $$;

-- Rows of an append-only table of tenants can be deleted by the platform once their tenant is shredded, never before.
create function sivo_append_only_table(table_name text) returns void
language plpgsql set search_path = public as $$
begin
    execute format('revoke update, delete on %I from sivo_tenant, sivo_platform', table_name);
    execute format('grant delete on %I to sivo_platform', table_name);
    execute format('create trigger append_only before delete on %I for each row execute function guard_append_only()',
                   table_name);
end $$;
revoke execute on function sivo_append_only_table(text) from public;
select sivo_append_only_table('ledger_entry');
select sivo_append_only_table('ledger_change');
grant delete on ledger_head to sivo_platform;
create trigger append_only before delete on ledger_head for each row execute function guard_append_only();

create or replace function guard_config_value() returns trigger
language plpgsql set search_path = public as $$
declare
    row_ config_value := coalesce(new, old);
    wanted text := 'key/' || row_.scope || '/' || row_.target || '/' || row_.key;
    value jsonb;
begin
    if tg_op <> 'DELETE' then
        value := jsonb_build_object('value', new.value, 'locked', new.locked);
    elsif sivo_shredded(old.tenant_id) then
        return null;
    end if;
    if not ledger_covers(row_.tenant_id, wanted, value) then
        raise exception 'write to config_value (%) without a ledger entry', wanted using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

create or replace function guard_resource() returns trigger
language plpgsql set search_path = public as $$
declare
    row_ resource := coalesce(new, old);
    wanted text := row_.kind || '/' || row_.id;
    value jsonb;
begin
    if tg_op <> 'DELETE' then
        value := jsonb_build_object('body', new.body, 'secrets', new.secrets);
    elsif sivo_shredded(old.tenant_id) then
        return null;
    end if;
    if not ledger_covers(row_.tenant_id, wanted, value) then
        raise exception 'write to resource (%) without a ledger entry', wanted using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;

create or replace function guard_tenant() returns trigger
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
    elsif old.shredded_at is not null then
        return null;
    end if;
    if not ledger_covers(row_.id, wanted, value) then
        raise exception 'write to tenant (%) without a ledger entry', wanted using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;
