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
set last_synced_time = coalesce(%(synced_time)s, last_synced_time), last_sync_error = %(error)s
where provider_id = %(provider_id)s
