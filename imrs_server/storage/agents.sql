-- name: insert
insert into agents (
    tenant_id, agent_id, display_name, agent_class, use_case, tags, labels, metadata, capsule, default_model_id,
    parameters, routing, override, fallback_model_ids, state
) values (
    %(tenant_id)s, %(agent_id)s, %(display_name)s, %(agent_class)s, %(use_case)s, %(tags)s, %(labels)s,
    %(metadata)s, %(capsule)s, %(default_model_id)s, %(parameters)s, %(routing)s, %(override)s,
    %(fallback_model_ids)s, %(state)s
)
on conflict (tenant_id, agent_id) do nothing
returning *

-- name: get
select * from agents where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s

-- name: lock
select * from agents where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s for no key update

-- name: update
update agents
set display_name = %(display_name)s, agent_class = %(agent_class)s, use_case = %(use_case)s, tags = %(tags)s,
    labels = %(labels)s, metadata = %(metadata)s, capsule = %(capsule)s, default_model_id = %(default_model_id)s,
    parameters = %(parameters)s, routing = %(routing)s, override = %(override)s,
    fallback_model_ids = %(fallback_model_ids)s, state = %(state)s, delete_time = %(delete_time)s,
    update_time = now(), version = version + 1
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s
returning *

-- name: list
select *, tenant_id::text || '/' || agent_id as place, octet_length(agents::text) as weight
from agents
where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
  and (%(agent_class)s = '' or agent_class = %(agent_class)s)
  and (%(state)s::text is null or state = %(state)s)
  and (%(tag)s = '' or tags @> to_jsonb(%(tag)s::text))
  and (
    %(search)s = ''
    or strpos(lower(agent_id), lower(%(search)s)) > 0
    or strpos(lower(display_name), lower(%(search)s)) > 0
  )
  and (%(show_deleted)s or delete_time is null)
  /* page */
