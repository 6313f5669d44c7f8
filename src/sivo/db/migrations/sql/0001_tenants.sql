-- Tenants of the platform. `config_version` grows with every change-set of the tenant.
create table tenant (
    id             uuid        primary key,
    slug           text        not null unique,
    name           text        not null,
    plan           text        not null,
    status         text        not null default 'active',
    created_at     timestamptz not null,
    config_version bigint      not null default 0
);
select sivo_platform_table('tenant');
grant select on tenant to sivo_tenant;
create policy tenant on tenant for select to sivo_tenant
    using (id = nullif(current_setting('app.tenant_id', true), '')::uuid);
