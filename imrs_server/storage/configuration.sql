-- name: take_turn
-- Applies that write the same tenant's things, or the platform's, one after the other: each locks many rows.
select pg_advisory_xact_lock(hashtextextended('imrs.config.' || %(whose)s, 0))

-- name: owned
select target, fields, created
from config_owned
where tenant_id is not distinct from %(tenant_id)s and source = %(source)s
order by target

-- name: owned_elsewhere
select distinct target
from config_owned
where not (tenant_id is not distinct from %(tenant_id)s and source = %(source)s) and (
    tenant_id is not distinct from %(tenant_id)s
    or exists (select from unnest(%(platform)s::text[]) as section where starts_with(target, section))
)

-- name: own
insert into config_owned (tenant_id, source, target, fields, created)
select %(tenant_id)s, %(source)s, target, fields, created
from jsonb_to_recordset(%(owned)s) as wanted (target text, fields jsonb, created bool)
on conflict (tenant_id, source, target) do update
set fields = excluded.fields, created = excluded.created, update_time = now()

-- name: disown
delete from config_owned
where tenant_id is not distinct from %(tenant_id)s and source = %(source)s and target = any(%(targets)s::text[])

-- name: remember
insert into config_applies (apply_id, tenant_id, source, environment, actor, changes, owned)
values (%(apply_id)s, %(tenant_id)s, %(source)s, %(environment)s, %(actor)s, %(changes)s, %(owned)s)

-- name: forget
delete from config_applies
where tenant_id is not distinct from %(tenant_id)s and source = %(source)s and apply_id not in (
    select apply_id
    from config_applies
    where tenant_id is not distinct from %(tenant_id)s and source = %(source)s
    order by number desc
    limit %(most)s
)

-- name: last
select *
from config_applies
where tenant_id is not distinct from %(tenant_id)s and source = %(source)s and undo_time is null
order by number desc
limit 1

-- name: undone
update config_applies set undo_time = now() where apply_id = %(apply_id)s

-- name: applied
-- Whether this was the last to be applied from the file.
select exists (
    select from config_files
    where tenant_id is not distinct from %(tenant_id)s and source = %(source)s and digest = %(digest)s
)

-- name: note_applied
insert into config_files (tenant_id, source, digest)
values (%(tenant_id)s, %(source)s, %(digest)s)
on conflict (tenant_id, source) do update set digest = excluded.digest, update_time = now()

-- name: sources
select distinct tenant_id, source from config_owned order by tenant_id nulls first, source

-- name: providers
select * from providers where %(all)s or provider_id = any(%(ids)s::text[]) order by provider_id

-- name: models
select *
from models
where model_id = any(%(ids)s::text[])
   -- By hand, or with something that an admin has said of it; what syncs brought is theirs.
   or (%(all)s and delete_time is null and (synced_time is null or provenance::text like '%%"ADMIN"%%'))
order by model_id

-- name: preferences
select * from preferences where %(all)s or agent_class = any(%(ids)s::text[]) order by agent_class

-- name: agents
select * from agents where tenant_id = %(tenant_id)s and (%(all)s or agent_id = any(%(ids)s::text[])) order by agent_id

-- name: agent_models
select agent_models.*, models.provider_id
from agent_models join models using (model_id)
where agent_models.tenant_id = %(tenant_id)s and agent_models.agent_id = any(%(agent_ids)s::text[])
  and (
      (%(all)s and models.delete_time is null)
      or agent_models.agent_id || '/' || model_id = any(%(ids)s::text[])
  )
order by agent_models.agent_id, model_id

-- name: rules
select *
from agent_rules
where tenant_id = %(tenant_id)s and agent_id = any(%(agent_ids)s::text[])
order by agent_id, create_time, rule_id


-- name: endpoints
select * from endpoints where %(all)s or endpoint_id = any(%(ids)s::text[]) order by endpoint_id

-- name: budgets
select *, budget_window as "window" from budgets where tenant_id = %(tenant_id)s order by agent_id, budget_window
