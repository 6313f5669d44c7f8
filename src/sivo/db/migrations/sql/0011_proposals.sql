-- Change-sets that wait: for a time, for somebody's approval, or for both. And the defaults that releases declare.

create table proposal (
    id            uuid        primary key,
    tenant_id     uuid        not null,
    state         text        not null
                  check (state in ('pending', 'scheduled', 'held', 'applied', 'rejected', 'cancelled')),
    author        text        not null,
    role          text        not null,
    -- Who stands behind the author: the person, also when an API key of theirs did it.
    person        text        not null,
    reason        text        not null default '',
    created_at    timestamptz not null,
    -- Empty: as soon as it is approved.
    apply_at      timestamptz,
    break_glass   boolean     not null default false,
    -- The changes, sealed (they may hold secrets); gone once it is decided.
    changes       bytea,
    -- Before and after of everything that it changes, as the ledger would have it; secrets as fingerprints.
    planned       jsonb       not null,
    digest        text        not null,
    -- Why it is held: what moved, or the rule that it would break.
    held          jsonb,
    decided_by    text,
    decided_at    timestamptz,
    decision      text        not null default '',
    approved      boolean     not null default false,
    -- The entry of the ledger that it became.
    version       bigint,
    finished_at   timestamptz,
    claimed_until timestamptz,
    check ((state = 'applied') = (version is not null)),
    check ((state in ('applied', 'rejected', 'cancelled')) = (finished_at is not null))
);
create index proposal_listed on proposal (tenant_id, id desc);
create index proposal_due on proposal (apply_at) where state = 'scheduled';
create index proposal_entry on proposal (tenant_id, version) where version is not null;
select sivo_tenant_table('proposal');

-- The default of every key as the release that ran last declares it. `seq` is the entry of the platform's ledger in
-- which it changed; empty while it is the first one known.
create table key_default (
    key     text        primary key,
    value   jsonb       not null,
    hash    text        not null,
    release text        not null,
    at      timestamptz not null,
    seq     bigint
);
select sivo_platform_table('key_default');

create function guard_key_default() returns trigger
language plpgsql set search_path = public as $$
begin
    if tg_op = 'INSERT' and new.seq is null then
        return null;
    end if;
    if tg_op = 'DELETE' or not ledger_covers('00000000-0000-0000-0000-000000000000', 'default/' || new.key, new.value)
    then
        raise exception 'write to key_default without a ledger entry' using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end $$;
create trigger guard after insert or update or delete on key_default
    for each row execute function guard_key_default();

-- What a release declares is no secret from a tenant: it lives by it.
grant select on key_default to sivo_tenant;
create policy declared on key_default for select to sivo_tenant using (true);
