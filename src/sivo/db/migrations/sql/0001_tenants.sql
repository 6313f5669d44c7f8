-- Tenants. The row with the nil UUID stands for the platform itself: its operators, its values and its ledger chain.
create table tenant (
    id             uuid        primary key,
    tenant_id      uuid        not null generated always as (id) stored,
    -- The effective value of the key tenant.slug.
    slug           text        not null,
    name           text        not null,
    plan           text        not null check (plan in ('starter', 'pro', 'enterprise')),
    status         text        not null check (status in ('active', 'suspended')),
    created_at     timestamptz not null default now(),
    -- Sequence number of the tenant's last change-set; processes that missed a notification see it move.
    config_version bigint      not null default 0
);
create unique index tenant_slug on tenant (slug);
insert into tenant (id, slug, name, plan, status)
    values ('00000000-0000-0000-0000-000000000000', 'platform', 'Platform', 'enterprise', 'active');
select sivo_tenant_table('tenant');
select sivo_directory_table('tenant');
grant select (id, slug, status, config_version) on tenant to sivo_directory;

create view tenant_directory with (security_invoker = true) as
    select id, slug, status, config_version from tenant;
grant select on tenant_directory to sivo_directory;
