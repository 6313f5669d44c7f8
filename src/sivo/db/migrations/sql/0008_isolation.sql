-- Isolation audits: who had one run, which canaries it made (noted before they are made), and its signed report.
create table isolation_audit (
    id          uuid        primary key,
    tenant_id   uuid        not null,               -- who asked for it; the nil UUID: the operator
    canaries    text[]      not null,               -- slugs; what is left of them after a kill is removed by these
    author      text        not null,
    node        text        not null,
    state       text        not null check (state in ('done', 'running')),
    started_at  timestamptz not null,
    finished_at timestamptz,
    report      jsonb
);
create unique index isolation_audit_one_at_a_time on isolation_audit ((true)) where state = 'running';
create index isolation_audit_listing on isolation_audit (tenant_id, started_at desc, id desc);
select sivo_tenant_table('isolation_audit');
