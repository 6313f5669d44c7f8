-- What people ask of running calls over the API. Written by `api`, claimed and answered by the `call` role that carries
-- the call; a row is an order and its outcome, so it also says who did what to whose call.
create table call_command (
    id         uuid        primary key,
    tenant_id  uuid        not null,
    call_id    uuid        not null,
    kind       text        not null check (kind in ('transfer', 'dtmf', 'supervise', 'leave', 'invite')),
    body       jsonb       not null default '{}',
    author     text        not null,
    state      text        not null default 'pending' check (state in ('pending', 'done', 'refused')),
    code       text        not null default '',
    message    text        not null default '',
    result     jsonb       not null default '{}',
    created_at timestamptz not null,
    done_at    timestamptz
);
create index call_command_call on call_command (call_id, created_at);
create index call_command_pending on call_command (created_at) where state = 'pending';
select sivo_tenant_table('call_command');

alter table call_decision drop constraint call_decision_kind_check;
alter table call_decision add constraint call_decision_kind_check
    check (kind in ('route', 'recording', 'transcription', 'transfer', 'supervision'));
alter table leg drop constraint leg_kind_check;
alter table leg add constraint leg_kind_check check (kind in ('caller', 'callee', 'supervisor'));
