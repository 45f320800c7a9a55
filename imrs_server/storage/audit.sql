-- name: write
insert into audit_events (event_id, tenant_id, actor, roles, method, target_type, target_id, before, after)
values (
    %(event_id)s, %(tenant_id)s, %(actor)s, to_jsonb(%(roles)s::text[]), %(method)s, %(target_type)s, %(target_id)s,
    %(before)s, %(after)s
)
