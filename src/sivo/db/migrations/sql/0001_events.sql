-- What happened, written in the transaction that made it true. `handed_on_at`: every consumer has its own row now.
create table outbox (
    id           text        primary key check (id like 'evt\_%'),
    tenant_id    uuid        not null,
    type         text        not null,
    data         jsonb       not null,
    created_at   timestamptz not null default clock_timestamp(),
    handed_on_at timestamptz
);
create index outbox_waiting on outbox (created_at, id) where handed_on_at is null;
create index outbox_done on outbox (handed_on_at) where handed_on_at is not null;
create index outbox_tenant on outbox (tenant_id, created_at desc);
select sivo_tenant_table('outbox');
