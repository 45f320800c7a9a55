-- name: claim
select pg_advisory_xact_lock(hashtextextended('imrs.provider.' || %(provider_id)s, 0))

-- name: insert
insert into providers (
    provider_id, display_name, provider_type, dialect, api_base, models_endpoint, options, pool_url, rate_limit_rpm,
    sync_interval, data_policy, state, key_version, created_by
) values (
    %(provider_id)s, %(display_name)s, %(provider_type)s, %(dialect)s, %(api_base)s, %(models_endpoint)s,
    %(options)s, %(pool_url)s, %(rate_limit_rpm)s, %(sync_interval)s, %(data_policy)s, %(state)s, %(key_version)s,
    %(created_by)s
)
returning *

-- name: get
select providers.*, count(models.model_id) filter (where models.delete_time is null) as model_count
from providers left join models using (provider_id)
where provider_id = %(provider_id)s
group by provider_id

-- name: lock
select * from providers where provider_id = %(provider_id)s for update

-- name: update
update providers
set display_name = %(display_name)s, provider_type = %(provider_type)s, dialect = %(dialect)s,
    api_base = %(api_base)s, models_endpoint = %(models_endpoint)s, options = %(options)s, pool_url = %(pool_url)s,
    rate_limit_rpm = %(rate_limit_rpm)s, sync_interval = %(sync_interval)s, data_policy = %(data_policy)s,
    state = %(state)s, key_version = %(key_version)s, delete_time = %(delete_time)s,
    update_time = now(), version = version + 1
where provider_id = %(provider_id)s
returning *

-- name: list
select providers.*, (
    select count(*) from models where models.provider_id = providers.provider_id and models.delete_time is null
) as model_count
from providers
where (%(provider_type)s::text is null or provider_type = %(provider_type)s)
  and (%(state)s::text is null or state = %(state)s)
  and (%(show_deleted)s or delete_time is null)
  /* page */

-- name: record_sync
update providers
set last_synced_time = coalesce(%(synced_time)s, last_synced_time), last_sync_error = %(error)s,
    last_attempt_time = now(), sync_failures = case when %(error)s = '' then 0 else sync_failures + 1 end
where provider_id = %(provider_id)s

-- name: due
select provider_id
from providers
where state = 'ACTIVE' and sync_interval is not null and (
    last_attempt_time is null or last_attempt_time + case
        when sync_failures > 0 then least(
            -- From a minute on, twice as long each time, until it is as rare as any sync, or hourly.
            least(sync_interval, interval '1 minute') * power(2, least(sync_failures, 20) - 1),
            greatest(sync_interval, interval '1 hour')
        )
        -- Up to a tenth more, so that providers of one interval drift apart; the same for whoever computes it.
        else sync_interval * (1 + mod(abs(hashtext(provider_id || last_attempt_time::text)::bigint), 1000) / 10000.0)
    end <= now()
)
order by last_attempt_time nulls first, provider_id
