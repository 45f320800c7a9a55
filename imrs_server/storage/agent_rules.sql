-- name: insert
insert into agent_rules (tenant_id, rule_id, agent_id, filter, priority_override, created_by)
values (%(tenant_id)s, %(rule_id)s, %(agent_id)s, %(filter)s, %(priority_override)s, %(created_by)s)
returning *

-- name: find_equal
select *
from agent_rules
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s and filter = %(filter)s
  and priority_override is not distinct from %(priority_override)s
order by create_time, rule_id
limit 1

-- name: list
select *, octet_length(filter::text) as weight
from agent_rules
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s
  /* page */

-- name: lock_all
select *
from agent_rules
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s
order by create_time, rule_id
for update

-- name: delete
delete from agent_rules
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s and rule_id = %(rule_id)s
returning *

-- name: delete_all
delete from agent_rules where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s returning rule_id

-- name: copy
insert into agent_rules (tenant_id, rule_id, agent_id, filter, priority_override, created_by)
select tenant_id, renamed.new_id, %(new_agent_id)s, filter, priority_override, %(created_by)s
from unnest(%(old_ids)s::uuid[], %(new_ids)s::uuid[]) as renamed (old_id, new_id)
join agent_rules on tenant_id = %(tenant_id)s and rule_id = renamed.old_id
