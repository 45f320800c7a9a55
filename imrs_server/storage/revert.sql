-- name: changed
select change.provider_id, model_id, change.action, change.before, change.after, to_jsonb(models) as current
from model_changes as change join models using (model_id)
where change.provider_id = %(provider_id)s and change.synced_time = %(synced_time)s and model_id > %(behind)s
  and models.delete_time is null
order by model_id
limit %(most)s

-- name: known
select exists (
    select from model_changes where provider_id = %(provider_id)s and synced_time = %(synced_time)s
)

-- name: write
with wanted as (
    select item.change_id, model_id, to_jsonb(models) as was, (
        -- Of what was not there the change says nothing: it goes back to null.
        select coalesce(jsonb_object_agg(name, coalesce(change.before -> name, 'null')), '{}')
        from unnest(item.fields) as name
    ) || item.values as wanted
    from jsonb_to_recordset(%(items)s) as item (change_id uuid, model_id text, fields text[], values jsonb)
    join models using (model_id)
    join model_changes as change using (model_id)
    where change.provider_id = %(provider_id)s and change.synced_time = %(synced_time)s
), written as (
    update models
    set display_name = new.display_name, model_type = new.model_type, capabilities = new.capabilities,
        cost_tier = new.cost_tier, context_length = new.context_length, max_output_tokens = new.max_output_tokens,
        price_state = new.price_state, input_price_usd = new.input_price_usd,
        output_price_usd = new.output_price_usd, cached_input_price_usd = new.cached_input_price_usd,
        retire_time = new.retire_time, provenance = new.provenance, metadata = new.metadata,
        lifecycle = new.lifecycle,
        -- Back among the missing, its grace starts anew.
        missing_since = case when new.lifecycle = 'MISSING' then coalesce(models.missing_since, now()) end,
        update_time = now(), version = models.version + 1
    from wanted cross join lateral jsonb_populate_record(null::models, wanted.was || wanted.wanted) as new
    where models.model_id = wanted.model_id
)
insert into model_changes (change_id, provider_id, model_id, action, before, after, synced_time)
select change_id, %(provider_id)s, model_id, 'REVERTED', (
    select coalesce(jsonb_object_agg(name, was -> name), '{}') from jsonb_object_keys(wanted.wanted) as name
), wanted.wanted, now()
from wanted
returning model_id

-- name: time
select now()
