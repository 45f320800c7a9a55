-- name: insert
insert into issued_tokens (token_id, tenant_id, subject, roles, agent_id, issued_by, expire_time)
values (
    %(token_id)s, %(tenant_id)s, %(subject)s, %(roles)s, %(agent_id)s, %(issued_by)s, %(expire_time)s
)
returning *

-- name: lock
select * from issued_tokens where token_id = %(token_id)s for update

-- name: revoke
update issued_tokens set revoke_time = now() where token_id = %(token_id)s returning *

-- name: list
select * from issued_tokens
where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
  and (%(token_id)s::uuid is null or token_id = %(token_id)s)
  and (%(agent_id)s = '' or agent_id = %(agent_id)s)
  and (%(show_revoked)s or (revoke_time is null and expire_time > now()))
  /* page */
