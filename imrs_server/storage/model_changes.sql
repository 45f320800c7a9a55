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
