-- migrate:up

-- What is known of a model: one row for an agent and a task, and one with agent_id '' for the whole tenant.
-- n, s and q are the decayed sums of 1, r and r^2 over its ratings, as of last_time; weights are applied when the
-- sums are read, so each kind that may weigh differently has its own. A signal whose rating is fixed needs no q.
-- raw_n and raw_s never decay: their quotient is the plain average.
-- Columns of fixed width come first: the index loads millions of rows, and these are found without a walk.
create table evidence (
    tenant_id uuid not null,
    last_time timestamptz not null,
    raw_n bigint not null default 0 check (raw_n >= 0),
    raw_s double precision not null default 0,
    explicit_n double precision not null default 0,
    explicit_s double precision not null default 0,
    explicit_q double precision not null default 0,
    self_n double precision not null default 0,
    self_s double precision not null default 0,
    self_q double precision not null default 0,
    implicit_n double precision not null default 0,
    implicit_s double precision not null default 0,
    implicit_q double precision not null default 0,
    regenerate_n double precision not null default 0,
    regenerate_s double precision not null default 0,
    copy_n double precision not null default 0,
    copy_s double precision not null default 0,
    continue_n double precision not null default 0,
    continue_s double precision not null default 0,
    abandon_n double precision not null default 0,
    abandon_s double precision not null default 0,
    decisions double precision not null default 0,
    calls double precision not null default 0,
    errors double precision not null default 0,
    latency_n double precision not null default 0,
    latency_ms_sum double precision not null default 0,
    agent_id text collate "C" not null check (agent_id ~ '^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$'),
    task_type text collate "C" not null check (task_type ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    model_id text collate "C" not null check (char_length(model_id) between 1 and 255),
    primary key (tenant_id, agent_id, task_type, model_id),
    -- NaN is the greatest of all numbers, so one bound above and one below refuse it and both infinities. Sums
    -- may be below 0: by a rounding error after a vote was taken back.
    constraint evidence_finite check (
        greatest(
            raw_s, explicit_n, explicit_s, explicit_q, self_n, self_s, self_q, implicit_n, implicit_s, implicit_q,
            regenerate_n, regenerate_s, copy_n, copy_s, continue_n, continue_s, abandon_n, abandon_s,
            decisions, calls, errors, latency_n, latency_ms_sum
        ) <= 1e15
        and least(
            raw_s, explicit_n, explicit_s, explicit_q, self_n, self_s, self_q, implicit_n, implicit_s, implicit_q,
            regenerate_n, regenerate_s, copy_n, copy_s, continue_n, continue_s, abandon_n, abandon_s,
            decisions, calls, errors, latency_n, latency_ms_sum
        ) >= -1e15
    )
) with (fillfactor = 80);
alter table evidence enable row level security;
alter table evidence force row level security;
create policy tenant on evidence to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

-- How far a roll-up has read: every fact of a transaction before xid is counted. Transaction ids start again when
-- a database is restored; epoch is that of index_revision, and another one means: count everything anew.
create table rollup_state (
    name text collate "C" primary key check (name ~ '^[a-z][a-z0-9_]{0,31}$'),
    xid xid8 not null,
    epoch uuid not null,
    update_time timestamptz not null default now()
);

grant select on evidence to imrs_app;
grant select, insert, update, delete on evidence, rollup_state to imrs_system;

-- migrate:down

drop table rollup_state;
drop table evidence;
