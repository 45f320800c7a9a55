-- migrate:up

-- One model call; its prompt and its answer are never stored. partition_time is the time inside the message's
-- UUIDv7 where that can be believed, else when it was recorded; writers of one id take turns, so it is unique in its
-- tenant.
create table messages (
    tenant_id uuid not null,
    message_id uuid not null,
    partition_time timestamptz not null,
    agent_id text collate "C" not null check (agent_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    decision_id uuid,
    conversation_id text not null default '' check (octet_length(conversation_id) <= 1024),
    model_id text collate "C" not null check (char_length(model_id) between 1 and 255),
    task_type text collate "C" not null default 'general' check (task_type ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    tools_used jsonb not null default '[]' check (jsonb_typeof(tools_used) = 'array'),
    latency_ms int not null default 0 check (latency_ms >= 0),
    prompt_tokens int not null default 0 check (prompt_tokens between 0 and 1000000000),
    completion_tokens int not null default 0 check (completion_tokens between 0 and 1000000000),
    cached_tokens int not null default 0 check (cached_tokens between 0 and 1000000000),
    token_count int not null generated always as (prompt_tokens + completion_tokens) stored,
    cost_usd numeric(18, 9) check (cost_usd between 0 and 999999999),
    cost_priced bool not null default false,
    outcome text not null default 'OK' check (outcome in ('OK', 'ERROR', 'TIMEOUT', 'CANCELLED')),
    error_kind text not null default '' check (error_kind ~ '^([a-z0-9][a-z0-9_.-]{0,63})?$'),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    rating double precision check (rating between 0 and 1),
    feedback_type text check (feedback_type in ('EXPLICIT', 'IMPLICIT', 'SELF_EVAL')),
    feedback_time timestamptz,
    create_time timestamptz not null default now(),
    xid xid8 not null default pg_current_xact_id(),
    primary key (tenant_id, message_id, partition_time),
    check (cost_priced = (cost_usd is not null)),
    check (num_nonnulls(rating, feedback_type, feedback_time) in (0, 3))
) partition by range (partition_time);
-- The SRS's two, led by the tenant that every query names.
create index messages_task_type_rating_idx on messages (tenant_id, task_type, rating) where rating is not null;
create index messages_model_task_type_idx on messages (tenant_id, model_id, task_type);
create index messages_agent_idx on messages (tenant_id, agent_id, create_time);
create index messages_xid_idx on messages (xid);
alter table messages enable row level security;
alter table messages force row level security;
create policy tenant on messages to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

-- Votes on messages, in the partition of the message they rate: that makes "one vote per message, user and kind"
-- a unique index. A vote may come before its message; until then it is pending and the message's side is null.
create table feedback (
    tenant_id uuid not null,
    feedback_id uuid not null,
    message_id uuid not null,
    partition_time timestamptz not null,
    agent_id text collate "C" check (agent_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    model_id text collate "C" check (char_length(model_id) between 1 and 255),
    task_type text collate "C" check (task_type ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    rating double precision not null check (rating between 0 and 1),
    feedback_type text not null check (feedback_type in ('EXPLICIT', 'IMPLICIT', 'SELF_EVAL')),
    signal text check (
        signal in
        ('THUMBS_UP', 'THUMBS_DOWN', 'REGENERATE', 'COPY', 'CONTINUE', 'ABANDON', 'EVALUATION', 'SCORE')
    ),
    user_id text not null default '' check (octet_length(user_id) <= 1024),
    comment text not null default '' check (octet_length(comment) <= 65536),
    pending bool not null default false,
    event_time timestamptz not null default now(),
    create_time timestamptz not null default now(),
    revoke_time timestamptz,
    xid xid8 not null default pg_current_xact_id(),
    primary key (tenant_id, feedback_id, partition_time),
    unique (tenant_id, message_id, user_id, feedback_type, partition_time),
    check (pending or num_nulls(agent_id, model_id, task_type) = 0)
) partition by range (partition_time);
create index feedback_agent_idx on feedback (tenant_id, agent_id, create_time);
create index feedback_pending_idx on feedback (create_time) where pending;
create index feedback_xid_idx on feedback (xid);
create index feedback_cell_idx on feedback (tenant_id, task_type, model_id, agent_id);
alter table feedback enable row level security;
alter table feedback force row level security;
create policy tenant on feedback to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

grant select, insert, update on messages, feedback to imrs_app;
grant select, insert, update, delete on messages, feedback to imrs_system;

-- migrate:down

drop table feedback;
drop table messages;
