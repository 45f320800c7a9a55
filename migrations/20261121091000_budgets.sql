-- migrate:up

-- agent_id '' is the whole tenant. `window` is a reserved word, hence budget_window.
create table budgets (
    tenant_id uuid not null,
    budget_id text collate "C" not null check (octet_length(budget_id) between 1 and 1024),
    agent_id text collate "C" not null default '' check (agent_id ~ '^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$'),
    limit_usd numeric(18, 9) check (limit_usd between 0 and 999999999),
    limit_tokens bigint check (limit_tokens >= 0),
    budget_window interval not null
        check (budget_window > interval '0' and budget_window <= interval '4000 days'),
    spent_usd numeric(18, 9) not null default 0 check (spent_usd between 0 and 999999999),
    spent_tokens bigint not null default 0 check (spent_tokens >= 0),
    reserved_usd numeric(18, 9) not null default 0 check (reserved_usd between 0 and 999999999),
    reset_time timestamptz not null default now(),
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    version bigint not null default 1 check (version > 0),
    primary key (tenant_id, budget_id)
);
create index budgets_agent_idx on budgets (tenant_id, agent_id);
alter table budgets enable row level security;
alter table budgets force row level security;
create policy tenant on budgets to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

-- Places where one model runs. What a server counts by itself, in_flight for one, is not stored.
create table endpoints (
    endpoint_id text collate "C" primary key check (octet_length(endpoint_id) between 1 and 1024),
    model_id text collate "C" not null references models on delete cascade,
    base_url text not null check (octet_length(base_url) between 1 and 2048),
    weight double precision not null default 1 check (weight between 0 and 1000000),
    state text not null default 'COLD' check (state in ('HOT', 'LOADING', 'COLD', 'DOWN')),
    ttl interval check (ttl between interval '0' and interval '400 days'),
    memory_bytes bigint check (memory_bytes >= 0),
    load_error text not null default '' check (octet_length(load_error) <= 8192),
    last_used_time timestamptz,
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    version bigint not null default 1 check (version > 0)
);
create index endpoints_model_idx on endpoints (model_id);

grant select, insert, update, delete on budgets, endpoints to imrs_app, imrs_system;

-- migrate:down

drop table endpoints;
drop table budgets;
