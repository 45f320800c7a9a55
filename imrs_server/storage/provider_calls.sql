-- name: hold
select pg_advisory_xact_lock(hashtextextended('imrs.calls.' || %(provider_id)s, 11))

-- name: recent
-- One statement, so that the limit, the clock and what was granted belong together.
select
    providers.rate_limit_rpm,
    extract(epoch from clock.time)::double precision as now_seconds,
    coalesce(calls.seconds, '{}') as seconds,
    coalesce(calls.counts, '{}') as counts
from providers
cross join (select clock_timestamp() as time) as clock
left join lateral (
    select
        array_agg(provider_calls.second order by provider_calls.second) as seconds,
        array_agg(provider_calls.calls order by provider_calls.second) as counts
    from provider_calls
    where provider_calls.provider_id = providers.provider_id
      and provider_calls.second > extract(epoch from clock.time) - %(window_seconds)s
) as calls on true
where providers.provider_id = %(provider_id)s

-- name: add
with over as (
    delete from provider_calls
    where provider_id = %(provider_id)s and second < %(second)s - 2 * %(window_seconds)s
)
insert into provider_calls (provider_id, second, calls)
values (%(provider_id)s, %(second)s, %(calls)s)
on conflict (provider_id, second) do update set calls = provider_calls.calls + excluded.calls
