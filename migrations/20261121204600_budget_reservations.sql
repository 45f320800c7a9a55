-- migrate:up

-- What a budget is at. USD that are spent leave the free models; tokens that are spent leave nothing.
alter table budgets
    add column reserved_tokens bigint not null default 0 check (reserved_tokens >= 0),
    add column unpriced_calls bigint not null default 0 check (unpriced_calls >= 0),
    add column level text not null generated always as (
        case
            when spent_tokens >= limit_tokens then 'EXHAUSTED'
            when spent_usd >= limit_usd then 'SPENT'
            when spent_usd >= limit_usd * 0.8 then 'SPARING'
            else 'WITHIN'
        end
    ) stored check (level in ('WITHIN', 'SPARING', 'SPENT', 'EXHAUSTED')),
    alter column reset_time drop default,
    -- Every call of an agent is an update: room for the next version beside the last.
    set (fillfactor = 40);
create unique index budgets_window_idx on budgets (tenant_id, agent_id, budget_window);
-- Windows whose end somebody waits for.
create index budgets_ends_idx on budgets (reset_time) where level <> 'WITHIN';

-- What calls that run may come to, one row a call and budget. A server that dies leaves its rows behind: they count
-- until they expire.
create table budget_reservations (
    tenant_id uuid not null,
    budget_id text collate "C" not null check (octet_length(budget_id) between 1 and 1024),
    reservation_id uuid not null,
    usd numeric(18, 9) not null check (usd between 0 and 999999999),
    tokens bigint not null check (tokens between 0 and 10000000000),
    expire_time timestamptz not null,
    primary key (tenant_id, budget_id, reservation_id),
    foreign key (tenant_id, budget_id) references budgets on delete cascade
);
create index budget_reservations_expire_idx on budget_reservations (expire_time);
alter table budget_reservations enable row level security;
alter table budget_reservations force row level security;
create policy tenant on budget_reservations to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

-- When the window ends that now() is in. Windows follow each other without a gap, whether or not anybody looked.
create function window_end(reset_time timestamptz, budget_window interval) returns timestamptz
language sql stable
as $$
select case
    when reset_time > now() then reset_time
    else reset_time
        + budget_window * (floor(extract(epoch from now() - reset_time) / extract(epoch from budget_window)) + 1)::float8
end
$$;

grant select, insert, update, delete on budget_reservations to imrs_app, imrs_system;

-- migrate:down

drop function window_end(timestamptz, interval);
drop table budget_reservations;
drop index budgets_ends_idx;
drop index budgets_window_idx;
alter table budgets
    drop column level,
    drop column unpriced_calls,
    drop column reserved_tokens,
    alter column reset_time set default now(),
    reset (fillfactor);
