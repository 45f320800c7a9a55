-- name: put
insert into tenants (tenant_id, display_name) values (%(tenant_id)s, %(display_name)s)
on conflict (tenant_id) do update set display_name = excluded.display_name
returning *

-- name: note
insert into tenants (tenant_id) values (%(tenant_id)s) on conflict (tenant_id) do nothing

-- name: get
select * from tenants where tenant_id = %(tenant_id)s

-- name: list
select * from tenants where true /* page */
