-- migrate:up

-- Where a provider gave no numbers, those of a call are somebody's estimate.
alter table messages add column tokens_estimated bool not null default false;

-- Calls of a day (UTC) added up, so that a month of millions is read in the time of some thousand rows. The latencies
-- are a histogram: of each step that occurs, how many calls fell into it and their sum.
create table usage_days (
    tenant_id uuid not null,
    day date not null,
    agent_id text collate "C" not null check (char_length(agent_id) <= 64),
    model_id text collate "C" not null check (char_length(model_id) <= 255),
    task_type text collate "C" not null check (char_length(task_type) <= 64),
    calls bigint not null,
    errors bigint not null,
    prompt_tokens bigint not null,
    completion_tokens bigint not null,
    cached_tokens bigint not null,
    cost_usd numeric(30, 9) not null check (cost_usd between -1e18 and 1e18),
    unpriced_calls bigint not null,
    estimated_calls bigint not null,
    latency_steps smallint[] not null,
    latency_calls bigint[] not null,
    latency_sums_ms bigint[] not null,
    primary key (tenant_id, day, agent_id, model_id, task_type)
) with (fillfactor = 80);

-- Versions of messages that were changed or deleted since, until they are taken back from usage_days: as
-- past_messages, with what is added up here and at another pace.
create table past_usage (
    tenant_id uuid not null,
    born xid8 not null,
    died xid8 not null default pg_current_xact_id(),
    create_time timestamptz not null,
    agent_id text collate "C" not null check (char_length(agent_id) <= 64),
    model_id text collate "C" not null check (char_length(model_id) <= 255),
    task_type text collate "C" not null check (char_length(task_type) <= 64),
    outcome text not null check (char_length(outcome) <= 32),
    latency_ms int not null,
    prompt_tokens int not null,
    completion_tokens int not null,
    cached_tokens int not null,
    cost_usd numeric(18, 9) check (cost_usd between 0 and 999999999),
    tokens_estimated bool not null
);
create index past_usage_died_idx on past_usage (died);

-- Steps of a histogram, eight to a doubling: each is 9 percent wide. For 1 and more.
create function latency_step(int) returns smallint
immutable parallel safe language sql
return floor(ln($1::double precision) * (8 / ln(2::double precision)))::smallint;

-- Like remember_message. Its triggers come first, which is by their names: what it says of xid lets the others see a
-- new version too.
create function account_message() returns trigger
language plpgsql
set search_path from current
as $$
begin
    if old.xid <> pg_current_xact_id() then
        insert into past_usage (
            tenant_id, born, create_time, agent_id, model_id, task_type, outcome, latency_ms, prompt_tokens,
            completion_tokens, cached_tokens, cost_usd, tokens_estimated
        ) values (
            old.tenant_id, old.xid, old.create_time, old.agent_id, old.model_id, old.task_type, old.outcome,
            old.latency_ms, old.prompt_tokens, old.completion_tokens, old.cached_tokens, old.cost_usd,
            old.tokens_estimated
        );
    end if;
    if tg_op = 'DELETE' then
        return old;
    end if;
    new.xid := pg_current_xact_id();
    return new;
end
$$;
create trigger account_change before update on messages for each row
when (
    new.xid <> '0' and (
        old.xid, old.create_time, old.agent_id, old.model_id, old.task_type, old.outcome, old.latency_ms,
        old.prompt_tokens, old.completion_tokens, old.cached_tokens, old.cost_usd, old.tokens_estimated
    ) is distinct from (
        new.xid, new.create_time, new.agent_id, new.model_id, new.task_type, new.outcome, new.latency_ms,
        new.prompt_tokens, new.completion_tokens, new.cached_tokens, new.cost_usd, new.tokens_estimated
    )
)
execute function account_message();
create trigger account_delete before delete on messages for each row execute function account_message();

alter table usage_days enable row level security;
alter table usage_days force row level security;
create policy tenant on usage_days to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);
alter table past_usage enable row level security;
alter table past_usage force row level security;
create policy tenant on past_usage to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

grant select on usage_days, rollup_state to imrs_app;
grant select, insert on past_usage to imrs_app;
grant select, insert, update, delete on usage_days, past_usage to imrs_system;

-- migrate:down

revoke select on rollup_state from imrs_app;
-- It says how far a table reaches that goes now.
set local role imrs_system;
delete from rollup_state where name = 'usage';
reset role;
drop trigger account_delete on messages;
drop trigger account_change on messages;
drop function account_message();
drop function latency_step(int);
drop table past_usage;
drop table usage_days;
alter table messages drop column tokens_estimated;
