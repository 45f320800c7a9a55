-- name: lead
select pg_try_advisory_xact_lock(hashtextextended('imrs.job.lifecycle', 11))

-- name: retire
with leaving as (
    select model_id, lifecycle
    from models
    where lifecycle in ('MISSING', 'RETIRING') and delete_time is null
      and (
          (lifecycle = 'MISSING' and missing_since < now() - %(missing_grace)s::interval)
          or retire_time <= now()
      )
    order by model_id
    limit %(most)s
    for update
)
update models
set lifecycle = 'RETIRED', update_time = now(), version = version + 1
from leaving
where models.model_id = leaving.model_id
returning models.provider_id, models.model_id, jsonb_build_object('lifecycle', leaving.lifecycle) as before,
    jsonb_build_object('lifecycle', models.lifecycle) as after
