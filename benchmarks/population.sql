-- 100 providers, 50,000 models, of which p0 has a fifth, and agents of 10 tenants, each with 100 models. With the
-- 10,000 agents of the specification these are a million pairs.
-- In 15 tasks an agent has rated 25 of them, which with some rows of the whole tenant makes four million rows of
-- evidence.

create function pg_temp.last_agent() returns int language sql stable
return current_setting('bench.agents')::int - 1;

create function pg_temp.provider(i int) returns text language sql immutable
return case when i < 10000 then 'p0' else 'p' || 1 + mod(i, 99) end;

create function pg_temp.model(i int) returns text language sql immutable
return pg_temp.provider(i) || '/lab/model-' || i;

create function pg_temp.tenant(i int) returns uuid language sql immutable
return ('11111111-1111-7111-8111-11111111111' || mod(i, 10))::uuid;

-- What is inserted fits together: nothing needs to be checked row by row.
set session_replication_role = replica;

insert into providers (provider_id, provider_type, dialect, api_base)
select 'p' || i, 'CUSTOM', 'openai', 'https://example.org' from generate_series(0, 99) as i;

insert into models (
    model_id, provider_id, external_id, display_name, capabilities, cost_tier, context_length, price_state,
    input_price_usd, output_price_usd, priority
)
select pg_temp.model(i), pg_temp.provider(i), 'lab/model-' || i, 'Model ' || i,
    (array['["text"]', '["text", "vision"]', '["code", "text"]'])[mod(i, 3) + 1]::jsonb,
    (array['FREE', 'LOW', 'STANDARD', 'PREMIUM'])[mod(i, 4) + 1], 8192 * (mod(i, 16) + 1), 'PRICE_KNOWN',
    mod(i, 1000) / 10.0, mod(i, 1000) / 5.0, mod(i, 101)
from generate_series(0, 49999) as i;

insert into agents (tenant_id, agent_id)
select pg_temp.tenant(i), 'agent-' || i from generate_series(0, pg_temp.last_agent()) as i;

insert into agent_models (tenant_id, agent_id, model_id, priority_override)
select pg_temp.tenant(i), 'agent-' || i, pg_temp.model(m), case when mod(j, 4) = 0 then mod(j, 101) end
from generate_series(0, pg_temp.last_agent()) as i, generate_series(0, 99) as j,
    lateral (select mod(i * 37 + j * 499, 50000)) as n (m);

insert into evidence (
    tenant_id, last_time, raw_n, raw_s, explicit_n, explicit_s, explicit_q, decisions, agent_id, task_type,
    model_id
)
select pg_temp.tenant(i), now() - make_interval(secs => mod(i * j, 9000000)), j + 1, (j + 1) * 0.6, j + 0.5,
    (j + 0.5) * 0.6, (j + 0.5) * 0.4, j * 2, 'agent-' || i, 'task-' || t, pg_temp.model(m)
from generate_series(0, pg_temp.last_agent()) as i, generate_series(0, 14) as t, generate_series(0, 24) as j,
    lateral (select mod(i * 37 + (j * 4 + mod(t, 4)) * 499, 50000)) as n (m);

insert into evidence (
    tenant_id, last_time, raw_n, raw_s, explicit_n, explicit_s, explicit_q, decisions, agent_id, task_type,
    model_id
)
select tenant_id, max(last_time), sum(raw_n), sum(raw_s), sum(explicit_n), sum(explicit_s), sum(explicit_q),
    sum(decisions), '', task_type, model_id
from evidence
where task_type in ('task-0', 'task-1')
group by tenant_id, task_type, model_id
limit 25 * (pg_temp.last_agent() + 1);

insert into task_types (tenant_id, task_type)
select pg_temp.tenant(i), 'task-' || t
from generate_series(0, 9) as i, generate_series(0, 14) as t;

insert into evidence_tenants (tenant_id, half_life_seconds)
select pg_temp.tenant(i), extract(epoch from interval '45 days') from generate_series(0, 9) as i;

-- All of it is counted already: without this the roll-up would begin by counting anew, from no ratings.
insert into rollup_state (name, xid, epoch)
select 'evidence', pg_snapshot_xmin(pg_current_snapshot()), epoch from index_revision;

reset session_replication_role;

vacuum analyze
