-- The audit log: who did, read or tried what. Entries are written unchained in the transaction of what they tell about
-- (`audit_inbox`, no lock between writers) and chained by the worker in the order in which they became visible
-- (`audit_entry`); see docs/decisions/0012-audit-log.md.

create table audit_head (
    tenant_id uuid   primary key,
    seq       bigint not null,
    hash      bytea  not null
);
select sivo_tenant_table('audit_head');
revoke insert, update, delete on audit_head from sivo_tenant;
create trigger append_only before delete on audit_head for each row execute function guard_append_only();

-- Everything that a filter asks for is derived from the hashed text, so it cannot say otherwise.
create table audit_entry (
    tenant_id     uuid        not null,
    seq           bigint      not null,
    id            uuid        not null,
    at            timestamptz not null,
    canonical     text        not null,
    prev          bytea       not null,
    hash          bytea       not null check (hash = sha256(convert_to(canonical, 'UTF8'))),
    signature     bytea       not null,
    key_id        text        not null,
    action        text        generated always as ((canonical::jsonb) ->> 'action') stored,
    event         text        generated always as ((canonical::jsonb) ->> 'event') stored,
    actor_id      text        generated always as ((canonical::jsonb) #>> '{actor,id}') stored,
    actor_email   text        generated always as ((canonical::jsonb) #>> '{actor,email}') stored,
    resource_type text        generated always as ((canonical::jsonb) #>> '{resource,type}') stored,
    resource_id   text        generated always as ((canonical::jsonb) #>> '{resource,id}') stored,
    cross_tenant  boolean     generated always as
                      (coalesce((canonical::jsonb) -> 'cross_tenant' = 'true'::jsonb, false)) stored,
    primary key (tenant_id, seq, at)
) partition by range (at);
create index audit_entry_id on audit_entry (tenant_id, id desc);
create index audit_entry_resource on audit_entry (tenant_id, resource_id, id desc);
create index audit_entry_actor on audit_entry (tenant_id, actor_id, id desc);
select sivo_tenant_table('audit_entry');
revoke insert, update, delete on audit_entry from sivo_tenant;
revoke update on audit_entry from sivo_platform;

-- Up to which entry a chain was pruned. The signature is the platform's key over chain, number, hash and time bound,
-- so nobody can drop entries and call it retention.
create table audit_pruned (
    tenant_id uuid        primary key,
    seq       bigint      not null,
    hash      bytea       not null,
    before    timestamptz not null,
    at        timestamptz not null,
    signature bytea       not null,
    key_id    text        not null
);
select sivo_tenant_table('audit_pruned');
revoke insert, update, delete on audit_pruned from sivo_tenant;
create trigger append_only before delete on audit_pruned for each row execute function guard_append_only();

create function audit_entry_goes_by_receipt() returns trigger
language plpgsql set search_path = public as $$
begin
    if not exists (select 1 from audit_pruned p where p.tenant_id = old.tenant_id and p.seq >= old.seq)
       and not sivo_shredded(old.tenant_id) then
        raise exception 'an audit entry goes by pruning alone' using errcode = 'integrity_constraint_violation';
    end if;
    return old;
end $$;
create trigger by_receipt before delete on audit_entry for each row execute function audit_entry_goes_by_receipt();

create table audit_inbox (
    id            uuid        primary key,
    tenant_id     uuid        not null,
    at            timestamptz not null,
    canonical     text        not null,
    action        text        generated always as ((canonical::jsonb) ->> 'action') stored,
    event         text        generated always as ((canonical::jsonb) ->> 'event') stored,
    actor_id      text        generated always as ((canonical::jsonb) #>> '{actor,id}') stored,
    actor_email   text        generated always as ((canonical::jsonb) #>> '{actor,email}') stored,
    resource_type text        generated always as ((canonical::jsonb) #>> '{resource,type}') stored,
    resource_id   text        generated always as ((canonical::jsonb) #>> '{resource,id}') stored,
    cross_tenant  boolean     generated always as
                      (coalesce((canonical::jsonb) -> 'cross_tenant' = 'true'::jsonb, false)) stored
);
create index audit_inbox_tenant on audit_inbox (tenant_id, id);
select sivo_tenant_table('audit_inbox');
revoke update, delete on audit_inbox from sivo_tenant;
revoke update on audit_inbox from sivo_platform;

create function audit_inbox_goes_by_sealing() returns trigger
language plpgsql set search_path = public as $$
begin
    if not exists (select 1 from audit_entry e where e.tenant_id = old.tenant_id and e.id = old.id)
       and not sivo_shredded(old.tenant_id) then
        raise exception 'an audit entry leaves the inbox by being chained alone'
            using errcode = 'integrity_constraint_violation';
    end if;
    return old;
end $$;
create trigger by_sealing before delete on audit_inbox for each row execute function audit_inbox_goes_by_sealing();

create view audit_log with (security_invoker = true) as
    select tenant_id, id, at, seq, canonical, action, event, actor_id, actor_email, resource_type, resource_id,
           cross_tenant
    from audit_entry
    union all
    select tenant_id, id, at, null::bigint, canonical, action, event, actor_id, actor_email, resource_type,
           resource_id, cross_tenant
    from audit_inbox;
grant select on audit_log to sivo_tenant, sivo_platform;

-- Partitions. Row-level security of the parent covers queries through the parent only, so each month gets policies and
-- rights of its own. What no month takes (a worker that was away for months) lands in audit_entry_other.
create function sivo_audit_protect(partition_name text) returns void
language plpgsql set search_path = public as $$
begin
    perform sivo_tenant_table(partition_name);
    execute format('revoke insert, update, delete on %I from sivo_tenant', partition_name);
    execute format('revoke insert, update on %I from sivo_platform', partition_name);
end $$;

create table audit_entry_other partition of audit_entry default;
select sivo_audit_protect('audit_entry_other');

-- The one function that runs with its owner's rights: the worker makes months ahead, and it owns nothing. It takes a day
-- and makes the month of it, unless rows of that month lie in audit_entry_other already. True: made.
create function sivo_audit_month(day date) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    first date := date_trunc('month', day)::date;
    name text := 'audit_entry_' || to_char(day, 'YYYY_MM');
begin
    if to_regclass('public.' || name) is not null then
        return false;
    end if;
    if day not between current_date - 62 and current_date + 366 then
        raise exception 'months are made a year ahead at most' using errcode = 'invalid_parameter_value';
    end if;
    execute format('create table public.%I partition of public.audit_entry for values from (%L) to (%L)', name,
                   first::timestamp at time zone 'UTC', (first + interval '1 month')::timestamp at time zone 'UTC');
    perform public.sivo_audit_protect(name);
    return true;
exception
    when duplicate_table then return false;   -- another worker was faster
    when check_violation then return false;   -- the default partition has rows of it
end $$;

-- Drops months that ended longer ago than any plan keeps (7 years); what was in them was pruned by then.
create function sivo_audit_drop_months() returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    one record;
    dropped integer := 0;
begin
    for one in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'public.audit_entry'::regclass and c.relname ~ '^audit_entry_\d{4}_\d{2}$'
          and to_date(right(c.relname, 7), 'YYYY_MM') < current_date - interval '7 years 2 months'
    loop
        execute format('drop table public.%I', one.relname);
        dropped := dropped + 1;
    end loop;
    return dropped;
end $$;

revoke execute on function sivo_audit_protect(text), sivo_audit_month(date), sivo_audit_drop_months() from public;
grant execute on function sivo_audit_month(date), sivo_audit_drop_months() to sivo_platform;
select sivo_audit_month(current_date), sivo_audit_month((current_date + interval '1 month')::date);
