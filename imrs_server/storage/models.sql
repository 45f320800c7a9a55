-- name: insert
insert into models (
    model_id, provider_id, external_id, display_name, model_type, capabilities, domains, priority, cost_tier,
    context_length, max_output_tokens, price_state, input_price_usd, output_price_usd, cached_input_price_usd,
    parameters, available, lifecycle, retire_time, provenance, metadata
) values (
    %(model_id)s, %(provider_id)s, %(external_id)s, %(display_name)s, %(model_type)s, %(capabilities)s, %(domains)s,
    %(priority)s, %(cost_tier)s, %(context_length)s, %(max_output_tokens)s, %(price_state)s, %(input_price_usd)s,
    %(output_price_usd)s, %(cached_input_price_usd)s, %(parameters)s, %(available)s, %(lifecycle)s, %(retire_time)s,
    %(provenance)s, %(metadata)s
)
on conflict do nothing
returning *

-- name: get
select models.*,
    -- A sync that finds a model unchanged does not write it: what is offered was seen by the provider's last sync.
    case
        when models.lifecycle in ('ACTIVE', 'RETIRING') and models.synced_time is not null
            then greatest(models.synced_time, providers.last_synced_time)
        else models.synced_time
    end as synced_time
from models join providers using (provider_id)
where models.model_id = %(model_id)s

-- name: hold
select provider_id
-- A sync compares, then writes: it holds its provider for update, so this waits for one that is writing, and
-- makes the next wait.
from providers
where %(provider_id)s = '' or provider_id = %(provider_id)s
order by provider_id
for share

-- name: lock
select * from models where model_id = %(model_id)s for no key update

-- name: update
update models
set display_name = %(display_name)s, model_type = %(model_type)s, capabilities = %(capabilities)s,
    domains = %(domains)s, priority = %(priority)s, cost_tier = %(cost_tier)s, context_length = %(context_length)s,
    max_output_tokens = %(max_output_tokens)s, price_state = %(price_state)s, input_price_usd = %(input_price_usd)s,
    output_price_usd = %(output_price_usd)s, cached_input_price_usd = %(cached_input_price_usd)s,
    parameters = %(parameters)s, available = %(available)s, lifecycle = %(lifecycle)s,
    retire_time = %(retire_time)s, provenance = %(provenance)s, metadata = %(metadata)s,
    delete_time = %(delete_time)s, update_time = now(), version = version + 1
where model_id = %(model_id)s

-- name: lose
with known as (
    select model_id, lifecycle
    from models
    -- Only what a list has brought can a list bring back.
    where model_id = %(model_id)s and lifecycle in ('ACTIVE', 'RETIRING') and synced_time is not null
      and delete_time is null
    for update
)
update models
set lifecycle = 'MISSING', missing_since = now(), update_time = now(), version = version + 1
from known
where models.model_id = known.model_id
returning models.provider_id, models.model_id, jsonb_build_object('lifecycle', known.lifecycle) as before,
    jsonb_build_object('lifecycle', models.lifecycle) as after

-- name: list
select models.*, octet_length(models.metadata::text) as weight,
    case
        when models.lifecycle in ('ACTIVE', 'RETIRING') and models.synced_time is not null
            -- Not a join: only the rows of the page need it, and counting needs none.
            then greatest(
                models.synced_time,
                (select last_synced_time from providers where providers.provider_id = models.provider_id)
            )
        else models.synced_time
    end as synced_time
from models
where (%(show_deleted)s or models.delete_time is null) and /* model filter */
  /* page */

-- name: count
select count(*) from models where models.delete_time is null and /* model filter */

-- name: count_differing
select count(*)
from models
where models.delete_time is null and /* model filter */
  and (
      available <> %(available)s or priority <> %(priority)s or cost_tier <> %(cost_tier)s
      or not provenance @> %(provenance)s
  )

-- name: update_matching
update models
set available = coalesce(%(available)s, available), priority = coalesce(%(priority)s, priority),
    cost_tier = coalesce(%(cost_tier)s, cost_tier), provenance = provenance || %(provenance)s,
    update_time = now(), version = version + 1
where models.delete_time is null and /* model filter */
  and (
      available <> %(available)s or priority <> %(priority)s or cost_tier <> %(cost_tier)s
      or not provenance @> %(provenance)s
  )
returning model_id
