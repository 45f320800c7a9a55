-- name: list_of_model
select *, octet_length(before::text) + octet_length(after::text) as weight
from model_changes
where model_id = %(model_id)s
  and create_time >= coalesce(%(start_time)s, '-infinity'::timestamptz)
  and create_time < coalesce(%(end_time)s, 'infinity'::timestamptz)
  /* page */

-- name: list_of_provider
select *, octet_length(before::text) + octet_length(after::text) as weight
from model_changes
where provider_id = %(provider_id)s
  and create_time >= coalesce(%(start_time)s, '-infinity'::timestamptz)
  and create_time < coalesce(%(end_time)s, 'infinity'::timestamptz)
  /* page */

-- name: log
insert into model_changes (change_id, provider_id, model_id, action, before, after, synced_time)
select change_id, provider_id, model_id, action, before, after, now()
from jsonb_to_recordset(%(changes)s) as change (
    change_id uuid, provider_id text, model_id text, action text, before jsonb, after jsonb
)
