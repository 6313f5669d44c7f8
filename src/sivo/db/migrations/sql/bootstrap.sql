-- Run as sivo_owner (or the operator's owner role) in every new database, before the rooms' own files; idempotent.
-- Roles belong to the whole server, so they are made in db/bootstrap.py; here is what a database needs.

revoke all on schema public from public;
grant usage on schema public to sivo_app, sivo_tenant, sivo_directory, sivo_platform;

-- A backup is read by sivo_platform.
grant select on alembic_version to sivo_platform;

create or replace function sivo_grant_sequences(table_name text, role_name text) returns void
language plpgsql set search_path = public as $$
declare
    sequence_name text;
begin
    for sequence_name in
        select pg_get_serial_sequence(table_name, a.attname)
        from pg_attribute a
        where a.attrelid = table_name::regclass and a.attnum > 0 and not a.attisdropped
          and pg_get_serial_sequence(table_name, a.attname) is not null
    loop
        execute format('grant usage, select on sequence %s to %s', sequence_name, role_name);
    end loop;
end $$;

-- A tenant's table: it has tenant_id uuid not null. In the scope tenant(id) its rows of that tenant are seen and
-- written, in platform(reason) all rows; without a tenant (the setting is absent, or '' after an earlier
-- transaction, hence nullif) no row at all, not even for the owner.
create or replace function sivo_tenant_table(table_name text) returns void
language plpgsql set search_path = public as $$
begin
    perform 1 from pg_attribute
        where attrelid = table_name::regclass and attname = 'tenant_id' and attnotnull and atttypid = 'uuid'::regtype;
    if not found then
        raise exception 'table % has no column "tenant_id uuid not null"', table_name;
    end if;
    perform sivo_platform_table(table_name);
    execute format('grant select, insert, update, delete on %I to sivo_tenant', table_name);
    perform sivo_grant_sequences(table_name, 'sivo_tenant');
    execute format('drop policy if exists tenant on %I', table_name);
    execute format(
        'create policy tenant on %I for all to sivo_tenant'
        ' using (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)'
        ' with check (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)', table_name);
end $$;

-- A platform's table: seen and written only in platform(reason).
create or replace function sivo_platform_table(table_name text) returns void
language plpgsql set search_path = public as $$
begin
    execute format('alter table %I enable row level security', table_name);
    execute format('alter table %I force row level security', table_name);
    execute format('grant select, insert, update, delete on %I to sivo_platform', table_name);
    perform sivo_grant_sequences(table_name, 'sivo_platform');
    execute format('drop policy if exists platform on %I', table_name);
    execute format(
        'create policy platform on %I for all to sivo_platform'
        ' using (coalesce(current_setting(''app.reason'', true), '''') <> '''')'
        ' with check (coalesce(current_setting(''app.reason'', true), '''') <> '''')', table_name);
end $$;

-- Rows that tenants' work may create or add to but that the directory looks up before a tenant is known: the caller
-- grants single columns afterwards (grant select (a, b) on t to sivo_directory).
create or replace function sivo_directory_table(table_name text) returns void
language plpgsql set search_path = public as $$
begin
    execute format('drop policy if exists directory on %I', table_name);
    execute format('create policy directory on %I for select to sivo_directory using (true)', table_name);
end $$;

revoke execute on all functions in schema public from public;
