-- name: put
-- What was known of another place does not hold of this one.
with kept as (
    select * from endpoints
    where endpoint_id = %(endpoint_id)s and model_id = %(model_id)s and %(base_url)s in (base_url, placed_url)
)
insert into endpoints (endpoint_id, model_id, base_url, weight, ttl, state)
values (%(endpoint_id)s, %(model_id)s, %(base_url)s, %(weight)s, %(ttl)s, %(state)s)
on conflict (endpoint_id) do update
set model_id = excluded.model_id, base_url = excluded.base_url, weight = excluded.weight, ttl = excluded.ttl,
    state = coalesce((select state from kept), excluded.state),
    placed_url = (select placed_url from kept),
    busy_id = (select busy_id from kept),
    busy_until = (select busy_until from kept),
    update_time = now(), version = endpoints.version + 1
returning *

-- name: claim_model
-- Until the transaction ends nobody else sets an endpoint of this model.
select pg_advisory_xact_lock(hashtextextended('imrs.endpoints.' || %(model_id)s, 11))

-- name: claim
-- Also where there is no row yet to lock. Whoever takes both takes the model first.
select pg_advisory_xact_lock(hashtextextended('imrs.endpoint.' || %(endpoint_id)s, 11))

-- name: at
select * from endpoints
where model_id = %(model_id)s and (md5(base_url) = md5(%(base_url)s) or placed_url = %(base_url)s)
order by base_url = %(base_url)s desc
limit 1

-- name: get
select endpoints.*, busy_until > now() as busy, counted.in_flight,
    greatest(endpoints.last_used_time, counted.last_used_time) as last_used_time
from endpoints
cross join lateral (
    select
        coalesce(sum(in_flight) filter (where update_time > now() - interval '10 seconds'), 0)::int as in_flight,
        max(update_time) as last_used_time
    from endpoint_calls
    where endpoint_id = endpoints.endpoint_id
) as counted
where endpoint_id = %(endpoint_id)s

-- name: count
select count(*)::int from endpoints where model_id = %(model_id)s

-- name: lock
select * from endpoints where endpoint_id = %(endpoint_id)s for update

-- name: hold
-- Who writes many takes their rows first, by their ids, as everybody does who touches more than one.
select model_id from endpoints where endpoint_id = any(%(endpoint_ids)s::text[]) order by endpoint_id for update

-- name: delete
delete from endpoints where endpoint_id = %(endpoint_id)s

-- name: list
select * from (
    select endpoints.endpoint_id, endpoints.model_id, base_url, placed_url, weight, ttl, memory_bytes, load_error, version,
        -- Calls fail there, whatever is loaded.
        case when breakers.phase = 'COOLING' then 'DOWN' else state end as state,
        busy_until > now() as busy, counted.in_flight,
        greatest(endpoints.last_used_time, counted.last_used_time) as last_used_time
    from endpoints
    cross join lateral (
        select
            coalesce(sum(in_flight) filter (where update_time > now() - interval '10 seconds'), 0)::int as in_flight,
            max(update_time) as last_used_time
        from endpoint_calls
        where endpoint_id = endpoints.endpoint_id
    ) as counted
    left join breakers on kind = 'ENDPOINT' and subject_id = endpoints.endpoint_id
) as known
where (%(model_id)s = '' or model_id = %(model_id)s)
  and (%(state)s::text is null or state = %(state)s) /* page */

-- name: begin
-- Be the one who loads or unloads it; nobody is, where somebody else is at it or it is as wanted.
update endpoints
set state = %(state)s, state_time = now(), busy_id = %(busy_id)s,
    busy_until = now() + make_interval(secs => %(seconds)s), load_error = '', update_time = now()
where endpoint_id = %(endpoint_id)s and state <> %(unless)s and (busy_until is null or busy_until <= now())
returning *

-- name: begin_idle
-- Be the one who unloads it, if it is idle for longer than its ttl, and for longer than servers need to say so.
update endpoints
set state = 'COLD', state_time = now(), busy_id = %(busy_id)s,
    busy_until = now() + make_interval(secs => %(seconds)s), load_error = '', update_time = now()
where endpoint_id = %(endpoint_id)s and state = 'HOT' and (busy_until is null or busy_until <= now())
  and ttl is not null and greatest(ttl, %(rest)s) < now() - greatest(
      state_time, last_used_time,
      (select max(update_time) from endpoint_calls where endpoint_id = %(endpoint_id)s)
  )
returning *

-- name: end
-- What became of it, unless it took so long that somebody else began.
update endpoints
set state = %(state)s, state_time = now(), busy_id = null, busy_until = null, load_error = %(load_error)s,
    memory_bytes = %(memory_bytes)s, placed_url = coalesce(%(placed_url)s, placed_url), update_time = now(),
    downs = case when %(state)s = 'DOWN' then downs + 1 else 0 end,
    due_time = case when %(state)s = 'DOWN' then now() + least(5 * power(2, least(downs, 10)), 300) * interval '1 s' end
where endpoint_id = %(endpoint_id)s and busy_id = %(busy_id)s
returning *

-- name: see
-- What was seen there, unless somebody is at it or it is known already.
update endpoints
set state = %(state)s, state_time = case when state = %(state)s then state_time else now() end,
    memory_bytes = %(memory_bytes)s, placed_url = coalesce(%(placed_url)s, placed_url), load_error = %(load_error)s,
    update_time = now(), downs = case %(state)s when 'DOWN' then downs + 1 when 'HOT' then 0 else downs end,
    due_time = case when %(state)s = 'DOWN' then now() + least(5 * power(2, least(downs, 10)), 300) * interval '1 s' end
where endpoint_id = %(endpoint_id)s and state = %(was)s and (busy_until is null or busy_until <= now())
returning *

-- name: postpone
-- It is still DOWN.
update endpoints
set downs = downs + 1, due_time = now() + least(5 * power(2, least(downs, 10)), 300) * interval '1 s',
    load_error = %(load_error)s
where endpoint_id = %(endpoint_id)s and state = 'DOWN'

-- name: all
-- With what the job of the pool asks of each.
select *, busy_until > now() as busy,
    state = 'DOWN' and coalesce(due_time, now()) <= now() as due,
    state = 'HOT' and ttl is not null and greatest(ttl, %(rest)s) < now() - greatest(
        state_time, last_used_time,
        (select max(update_time) from endpoint_calls where endpoint_id = endpoints.endpoint_id)
    ) as idle
from endpoints
order by endpoint_id

-- name: count_calls
-- Held, so that one which somebody is deleting is either waited for and left out, or still there at the end.
with held as materialized (
    select endpoint_id from endpoints
    where endpoint_id = any(%(endpoint_ids)s::text[])
    order by endpoint_id
    for key share
)
insert into endpoint_calls (endpoint_id, process_id, in_flight)
select endpoint_id, %(process_id)s, in_flight
from unnest(%(endpoint_ids)s::text[], %(in_flights)s::int[]) as told (endpoint_id, in_flight)
join held using (endpoint_id)
order by endpoint_id
on conflict (endpoint_id, process_id) do update set in_flight = excluded.in_flight, update_time = now()

-- name: calls
select coalesce(sum(in_flight), 0)::int
from endpoint_calls
where endpoint_id = %(endpoint_id)s and update_time > now() - interval '10 seconds'

-- name: fold_calls
-- Those of processes that are gone, or have had nothing to do for long; when they were is kept.
with held as materialized (
    select endpoint_id from endpoints
    where endpoint_id in (select endpoint_id from endpoint_calls where update_time < now() - interval '1 hour')
    order by endpoint_id
    for update
), gone as (
    delete from endpoint_calls using held
    where endpoint_calls.endpoint_id = held.endpoint_id and update_time < now() - interval '1 hour'
    returning held.endpoint_id, update_time
)
update endpoints
set last_used_time = greatest(last_used_time, latest)
from (select endpoint_id, max(update_time) as latest from gone group by endpoint_id) as used
where endpoints.endpoint_id = used.endpoint_id
