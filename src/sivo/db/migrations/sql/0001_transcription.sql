-- Final pieces of transcript, written by the role `call`. Expiry is sealed when a segment is made.
create table segment (
    id         uuid        primary key,
    tenant_id  uuid        not null,
    call_id    uuid        not null references call (id) on delete cascade,
    speaker    text        not null check (speaker in ('caller', 'agent', 'mixed')),
    text       text        not null,
    start_ms   integer     not null,
    end_ms     integer     not null,
    language   text        not null default '',
    turn       integer,
    created_at timestamptz not null,
    expires_at timestamptz not null
);
create index segment_call on segment (call_id, start_ms, id);
create index segment_expiry on segment (expires_at);
select sivo_tenant_table('segment');
