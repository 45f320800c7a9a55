-- name: outbox
-- A million rows may wait; so many more than these make no difference to anybody.
select
    count(*) filter (where park_time is null) as waiting,
    count(park_time) as parked,
    coalesce(extract(epoch from now() - min(create_time) filter (where park_time is null)), 0)::float8 as oldest_seconds
from (select create_time, park_time from outbox order by create_time limit 100000) as oldest

-- name: partitions
-- Of the table that has the fewest: months after this one for which there is a partition.
select min(months)::int
from (
    select
        max(12 * split_part(right(child.relname, 7), '_', 1)::int + split_part(right(child.relname, 7), '_', 2)::int)
        - (12 * extract(year from now() at time zone 'UTC') + extract(month from now() at time zone 'UTC')) as months
    from pg_inherits
    join pg_class as child on child.oid = inhrelid
    where inhparent = any(%(tables)s::regclass[]) and child.relname ~ '_\d{4}_\d{2}$'
    group by inhparent
) as ahead

-- name: syncs
select
    provider_id,
    extract(epoch from now() - last_synced_time)::float8 as age_seconds,
    last_sync_error <> '' as failing
from providers
where state <> 'DELETED' and (last_synced_time is not null or last_sync_error <> '')

-- name: endpoints
select case when breakers.phase = 'COOLING' then 'DOWN' else endpoints.state end as state, count(*) as endpoints
from endpoints
left join breakers on kind = 'ENDPOINT' and subject_id = endpoint_id
group by 1
