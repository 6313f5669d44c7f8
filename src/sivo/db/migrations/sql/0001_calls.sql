-- What happened on the phone. Written by the role `call` alone.
create table call (
    id            uuid        primary key,
    tenant_id     uuid        not null,
    direction     text        not null check (direction in ('inbound', 'outbound', 'internal')),
    from_number   text        not null,
    to_number     text        not null,
    did_id        uuid,
    agent_id      uuid,
    extension_id  uuid,
    trunk_id      uuid,
    state         text        not null check (state in ('created', 'ringing', 'answered', 'ended')),
    created_at    timestamptz not null,
    answered_at   timestamptz,
    ended_at      timestamptz,
    duration_ms   bigint,
    hangup_cause  text,
    hangup_class  text,
    hangup_by     text,
    hangup_detail text        not null default '',
    exit_reason   text,
    mos           real,
    -- Pinned configuration (room config) and the values of it that were read.
    -- The last fact is committed, the journal has its recording row, the transcript is complete.
    finished      boolean     not null default false,
    snapshot_hash text,
    config_reads  jsonb       not null default '[]',
    media_index   integer,
    journal_path  text,
    sip_call_id   text        not null default '',
    stats         jsonb       not null default '{}'
);
create index call_by_time on call (tenant_id, created_at desc, id desc);
create index call_open on call (state) where not finished;
select sivo_tenant_table('call');

create table leg (
    id          uuid        primary key,
    tenant_id   uuid        not null,
    call_id     uuid        not null references call (id) on delete cascade,
    kind        text        not null check (kind in ('caller', 'callee')),
    peer        text        not null,
    address     text        not null default '',
    sip_call_id text        not null default '',
    codec       text,
    outcome     text        not null default 'open',
    created_at  timestamptz not null,
    answered_at timestamptz,
    ended_at    timestamptz,
    stats       jsonb       not null default '{}',
    -- The confirmed dialog (tags, CSeq, route set, target), so that a killed process can still say BYE when it is back.
    dialog      jsonb
);
create index leg_call on leg (call_id);
select sivo_tenant_table('leg');

-- Facts of the media session, once each: the key is what makes a second commit of the same fact harmless.
-- `body` holds no transcript text; that lives in `segment` and `turn` and expires there.
create table call_fact (
    session   uuid        not null,
    seq       integer     not null,
    tenant_id uuid        not null,
    call_id   uuid        not null references call (id) on delete cascade,
    kind      text        not null,
    at        timestamptz not null,
    body      jsonb       not null,
    primary key (session, seq)
);
create index call_fact_call on call_fact (call_id, seq);
select sivo_tenant_table('call_fact');

-- One user turn of an AI conversation. The texts are null when no transcription policy applies, and expire with the
-- transcript.
create table turn (
    session        uuid        not null,
    seq            integer     not null,
    tenant_id      uuid        not null,
    call_id        uuid        not null references call (id) on delete cascade,
    turn           integer     not null,
    user_text      text,
    reply_text     text,
    user_start_ms  integer     not null,
    user_end_ms    integer     not null,
    reply_start_ms integer,
    reply_end_ms   integer,
    interrupted    boolean     not null,
    action         text        not null,
    variables      jsonb       not null default '{}',
    latency        jsonb       not null default '{}',
    expires_at     timestamptz,
    primary key (session, seq)
);
create index turn_call on turn (call_id, turn);
create index turn_expiry on turn (expires_at) where user_text is not null or reply_text is not null;
select sivo_tenant_table('turn');

create table sip_message (
    id          uuid        primary key,
    tenant_id   uuid        not null,
    call_id     uuid        not null references call (id) on delete cascade,
    at          timestamptz not null,
    direction   text        not null check (direction in ('in', 'out')),
    peer        text        not null,
    summary     text        not null,
    -- Credentials are removed before it is stored.
    raw         text        not null
);
create index sip_message_call on sip_message (call_id, at, id);
select sivo_tenant_table('sip_message');

-- Why: the route, recording and transcription decisions with the rule that made them.
create table call_decision (
    id        uuid        primary key,
    tenant_id uuid        not null,
    call_id   uuid        not null references call (id) on delete cascade,
    at        timestamptz not null,
    kind      text        not null check (kind in ('route', 'recording', 'transcription')),
    phase     text        not null,
    outcome   text        not null,
    rule      text        not null,
    reason    text        not null,
    details   jsonb       not null default '{}'
);
create index call_decision_call on call_decision (call_id, at, id);
select sivo_tenant_table('call_decision');
