-- One row per event and endpoint: it is the job, the record, and (state `dead`) the dead-letter queue.
-- `started` counts claims, `attempts` counts answered or failed requests: a row that keeps killing its worker is seen.
create table webhook_delivery (
    id              uuid        primary key,
    tenant_id       uuid        not null,
    endpoint_id     uuid        not null,
    event_id        text        not null,
    type            text        not null,
    call_id         uuid,
    -- The exact bytes that are signed and sent; emptied once delivered, they may hold transcript text.
    body            bytea,
    state           text        not null check (state in ('pending', 'delivered', 'dead', 'cancelled')),
    -- webhooks.retry_max_attempts as it was when the event happened.
    retry_max       integer     not null check (retry_max between 0 and 12),
    attempts        integer     not null default 0,
    started         integer     not null default 0,
    due_at          timestamptz not null,
    claimed_until   timestamptz,
    -- Node whose worker holds the claim; when that worker starts again, the claim is void.
    claimed_by      text,
    last_status     integer,
    last_error      text,
    last_attempt_at timestamptz,
    -- One entry per request: at, status, error, ms.
    log             jsonb       not null default '[]',
    created_at      timestamptz not null,
    finished_at     timestamptz,
    unique (endpoint_id, event_id)
);
create index webhook_delivery_due on webhook_delivery (endpoint_id, due_at, id) where state = 'pending';
create index webhook_delivery_listing on webhook_delivery (tenant_id, id desc);
create index webhook_delivery_call on webhook_delivery (call_id) where call_id is not null;
create index webhook_delivery_finished on webhook_delivery (finished_at) where finished_at is not null;
select sivo_tenant_table('webhook_delivery');

-- Which saved version of an endpoint was answered with webhook.test.
create table webhook_tested (
    endpoint_id uuid   primary key,
    tenant_id   uuid   not null,
    version     bigint not null
);
select sivo_tenant_table('webhook_tested');
