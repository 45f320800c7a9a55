-- migrate:up

-- What Route answered. create_time is the time inside the decision's UUIDv7, so the id alone finds the partition.
-- Facts name agents and models without foreign keys: history outlives both.
create table decisions (
    tenant_id uuid not null,
    decision_id uuid not null,
    create_time timestamptz not null,
    agent_id text collate "C" not null check (agent_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    task_type text collate "C" not null check (task_type ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    confidence text not null check (confidence in ('HIGH', 'MEDIUM', 'LOW')),
    source text not null check (source in ('TOOL', 'MIME', 'KEYWORD', 'REQUEST', 'NONE')),
    model_id text collate "C" not null check (char_length(model_id) between 1 and 255),
    reason text not null
        check (reason in ('SCORE', 'OVERRIDE', 'PREFERENCE', 'AFFINITY', 'EXPLORE', 'DEFAULT')),
    fallback_model_ids jsonb not null default '[]' check (jsonb_typeof(fallback_model_ids) = 'array'),
    candidates_total int not null default 0 check (candidates_total >= 0),
    candidates_eligible int not null default 0 check (candidates_eligible >= 0),
    index_revision bigint not null default 0 check (index_revision >= 0),
    stale bool not null default false,
    score double precision check (score between -1e9 and 1e9),
    propensity double precision check (propensity between 0 and 1),
    request_id text not null default '' check (octet_length(request_id) <= 1024),
    conversation_id text not null default '' check (octet_length(conversation_id) <= 1024),
    detail jsonb not null default '{}' check (jsonb_typeof(detail) = 'object'),
    xid xid8 not null default pg_current_xact_id(),
    primary key (tenant_id, decision_id, create_time)
) partition by range (create_time);
create index decisions_agent_idx on decisions (tenant_id, agent_id, create_time);
-- The roll-up reads what committed since its last turn by transaction id: times and ids do not follow commits.
create index decisions_xid_idx on decisions (xid);
alter table decisions enable row level security;
alter table decisions force row level security;
create policy tenant on decisions to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

grant select, insert on decisions to imrs_app;
grant select, insert, update, delete on decisions to imrs_system;

-- migrate:down

drop table decisions;
