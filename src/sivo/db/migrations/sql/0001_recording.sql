-- One row a call whose audio was wanted or whose journal has to be dealt with. It is its own job: the role `worker`
-- claims due rows, and every row ends in stored, refused or failed with a cause.
create table recording (
    id             uuid        primary key,
    tenant_id      uuid        not null,
    call_id        uuid        not null unique references call (id) on delete cascade,
    node           text        not null,
    journal_path   text        not null,
    state          text        not null check (state in ('pending', 'stored', 'refused', 'failed', 'expired')),
    -- False: no policy wanted the audio; the row only sees to it that the journal goes.
    wanted         boolean     not null,
    rule           text        not null,
    cause          text        not null default '',
    format         text        not null,
    kms            boolean     not null,
    provider_id    text        not null,
    expiry_action  text        not null,
    retention_days integer     not null,
    created_at     timestamptz not null,
    expires_at     timestamptz not null,
    due_at         timestamptz not null,
    started        integer     not null default 0,
    claimed_until  timestamptz,
    stored_at      timestamptz,
    object_key     text,
    wrapped_key    bytea,
    size_bytes     bigint,
    sha256         bytea,
    duration_ms    integer,
    channels       integer,
    check (state <> 'stored' or (object_key is not null and wrapped_key is not null))
);
create index recording_due on recording (due_at) where state = 'pending';
create index recording_expiry on recording (expires_at) where state = 'stored';
create index recording_by_time on recording (tenant_id, created_at desc, id desc);
select sivo_tenant_table('recording');
