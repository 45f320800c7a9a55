-- name: write
insert into audit_events (
    event_id, tenant_id, actor, roles, method, request_id, target_type, target_id, before, after
) values (
    %(event_id)s, %(tenant_id)s, %(actor)s, to_jsonb(%(roles)s::text[]), %(method)s, %(request_id)s,
    %(target_type)s, %(target_id)s, %(before)s, %(after)s
)

-- name: list
select *, coalesce(octet_length(before::text), 0) + coalesce(octet_length(after::text), 0) as weight
from audit_events
where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
  and (%(actor)s::text = '' or actor = %(actor)s)
  and (%(target_type)s::text = '' or target_type = %(target_type)s)
  and (%(target_id)s::text = '' or target_id = %(target_id)s)
  and (%(method)s::text = '' or method = %(method)s)
  and create_time >= coalesce(%(start_time)s, '-infinity'::timestamptz)
  and create_time < coalesce(%(end_time)s, 'infinity'::timestamptz)
  /* page */
