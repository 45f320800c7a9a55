-- name: take_time
set local statement_timeout = '2min'

-- name: create_items
create temp table sync_items (
    external_id text collate "C" primary key,
    display_name text,
    model_type text,
    capabilities jsonb,
    cost_tier text,
    context_length int,
    max_output_tokens int,
    price_state text,
    input_price_usd numeric(18, 9),
    output_price_usd numeric(18, 9),
    cached_input_price_usd numeric(18, 9),
    retire_time timestamptz,
    provenance jsonb,
    metadata jsonb
) on commit drop

-- name: copy_items
copy sync_items (
    external_id, display_name, model_type, capabilities, cost_tier, context_length, max_output_tokens, price_state,
    input_price_usd, output_price_usd, cached_input_price_usd, retire_time, provenance, metadata
) from stdin

-- name: analyze_items
analyze sync_items

-- name: create_plan
create temp table sync_plan (
    model_id text collate "C",
    external_id text collate "C",
    listed bool,
    was text,
    action text,
    fields jsonb,
    before jsonb,
    after jsonb
) on commit drop

-- name: plan
insert into sync_plan
-- `fields` is what the model should be: what is listed, but for what an admin set, and for curated values where
-- the list has nothing to say. `action` is null where nothing is to be done.
-- Most models are the same as last time; they are told apart first, column by column, for that is fast.
with same as materialized (
    select models.model_id, external_id
    from models join sync_items as item using (external_id)
    where models.provider_id = %(provider_id)s and models.lifecycle = 'ACTIVE' and models.delete_time is null
      and models.synced_time is not null and models.retire_time is null
      and (
          models.display_name, models.model_type, models.capabilities, models.cost_tier, models.context_length,
          models.max_output_tokens, models.price_state, models.input_price_usd, models.output_price_usd,
          models.cached_input_price_usd, models.retire_time, models.provenance, models.metadata
      ) is not distinct from (
          item.display_name, item.model_type, item.capabilities, item.cost_tier, item.context_length,
          item.max_output_tokens, item.price_state, item.input_price_usd, item.output_price_usd,
          item.cached_input_price_usd, item.retire_time, item.provenance, item.metadata
      )
), known as materialized (
    select model_id, external_id, lifecycle, missing_since, retire_time, synced_time, delete_time,
        jsonb_build_object(
            'display_name', display_name, 'model_type', model_type, 'capabilities', capabilities,
            'cost_tier', cost_tier, 'context_length', context_length, 'max_output_tokens', max_output_tokens,
            'price_state', price_state, 'input_price_usd', input_price_usd, 'output_price_usd', output_price_usd,
            'cached_input_price_usd', cached_input_price_usd, 'retire_time', retire_time,
            'provenance', provenance, 'metadata', metadata, 'lifecycle', lifecycle
        ) as fields
    from models
    where provider_id = %(provider_id)s
      and not exists (select from same where same.model_id = models.model_id)
), listed as materialized (
    select external_id, to_jsonb(sync_items) - 'external_id' as fields
    from sync_items
    where not exists (select from same where same.external_id = sync_items.external_id)
), merged as materialized (
    select coalesce(known.model_id, %(provider_id)s || '/' || external_id) as model_id, external_id,
        listed.fields is not null as listed, known.lifecycle as was, known.missing_since, known.synced_time,
        known.delete_time, known.fields as before,
        coalesce(
            listed.fields || kept.fields || kept.provenance || case
                -- The tier follows from the prices, so it stays where they stay.
                when known.fields -> 'provenance' ->> 'price_state' = 'CURATED'
                    and not (listed.fields -> 'provenance') ? 'price_state'
                    then jsonb_build_object('cost_tier', known.fields -> 'cost_tier')
                else '{}'
            end,
            listed.fields, known.fields
        ) as after
    from listed
    full join known using (external_id)
    left join lateral (
        select coalesce(jsonb_object_agg(key, known.fields -> key) filter (where known.fields ? key), '{}') as fields,
            jsonb_build_object(
                'provenance', (listed.fields -> 'provenance') || coalesce(jsonb_object_agg(key, source), '{}')
            ) as provenance
        from jsonb_each_text(known.fields -> 'provenance') as kept (key, source)
        where source = 'ADMIN' or (source = 'CURATED' and not (listed.fields -> 'provenance') ? key)
    ) as kept on listed.fields is not null
), dated as (
    select *,
        case
            when listed and (after ->> 'retire_time')::timestamptz > now() then 'RETIRING'
            when listed and after ->> 'retire_time' is null then 'ACTIVE'
            when listed or was = 'RETIRED' or (after ->> 'retire_time')::timestamptz <= now() then 'RETIRED'
            when missing_since < now() - %(missing_grace)s::interval then 'RETIRED'
            else 'MISSING'
        end as becomes
    from merged
    where delete_time is null and (listed or synced_time is not null)
), settled as materialized (
    select model_id, external_id, listed, was, becomes, synced_time, before,
        after || jsonb_build_object('lifecycle', becomes) as after
    from dated
), judged as (
    select *,
        case
            when was is null then 'ADDED'
            when was in ('MISSING', 'RETIRED') and becomes in ('ACTIVE', 'RETIRING') then 'RETURNED'
            when was <> becomes and becomes <> 'ACTIVE' then becomes
            when was <> becomes or before <> after or synced_time is null then 'UPDATED'
        end as action
    from settled
)
select model_id, external_id, true, 'ACTIVE', null, null::jsonb, null::jsonb, null::jsonb
from same
union all
select model_id, external_id, listed, was, action, case when action is not null then judged.after end,
    diff.before, diff.after
from judged
left join lateral (
    select jsonb_object_agg(key, judged.before -> key) filter (where judged.before is not null) as before,
        jsonb_object_agg(key, value) as after
    from jsonb_each(judged.after)
    where case
        when judged.before is null then value <> 'null' and key <> 'metadata'
        else value is distinct from judged.before -> key
    end
) as diff on action is not null

-- name: counts
select now() as synced_time,
    count(*) filter (where action = 'ADDED') as added,
    count(*) filter (where listed and action <> 'ADDED') as updated,
    count(*) filter (where not listed and was <> 'RETIRED') as missing,
    count(*) filter (where action = 'MISSING') as dropping,
    count(*) filter (where was in ('ACTIVE', 'RETIRING')) as known
from sync_plan

-- name: preview
select %(provider_id)s as provider_id, model_id, action, before, after
from sync_plan
where action is not null
order by model_id
limit %(most)s

-- name: log
insert into model_changes (change_id, provider_id, model_id, action, before, after, synced_time)
-- The id is a UUIDv7 of now: 48 bits of milliseconds before the random ones, then the two bits that make 4 a 7.
select encode(
        set_bit(set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                from 1 for 6
            ), 52, 1), 53, 1
        ), 'hex'
    )::uuid, %(provider_id)s, model_id, action, before, after, now()
from sync_plan
where action is not null

-- name: update
update models
set display_name = new.display_name, model_type = new.model_type, capabilities = new.capabilities,
    cost_tier = new.cost_tier, context_length = new.context_length, max_output_tokens = new.max_output_tokens,
    price_state = new.price_state, input_price_usd = new.input_price_usd, output_price_usd = new.output_price_usd,
    cached_input_price_usd = new.cached_input_price_usd, retire_time = new.retire_time,
    provenance = new.provenance, metadata = new.metadata, lifecycle = new.lifecycle,
    missing_since = case
        when sync_plan.listed then null
        when new.lifecycle = 'MISSING' then now()
        else models.missing_since
    end,
    synced_time = case
        when sync_plan.listed then now()
        when was in ('ACTIVE', 'RETIRING') then greatest(models.synced_time, %(last_synced_time)s)
        else models.synced_time
    end,
    update_time = now(), version = models.version + 1
from sync_plan cross join lateral jsonb_populate_record(null::models, sync_plan.fields) as new
where models.model_id = sync_plan.model_id and sync_plan.action is not null and sync_plan.was is not null
returning models.model_id

-- name: insert
insert into models (
    model_id, provider_id, external_id, display_name, model_type, capabilities, cost_tier, context_length,
    max_output_tokens, price_state, input_price_usd, output_price_usd, cached_input_price_usd, retire_time,
    provenance, metadata, lifecycle, synced_time
)
select sync_plan.model_id, %(provider_id)s, sync_plan.external_id, new.display_name, new.model_type,
    new.capabilities, new.cost_tier, new.context_length, new.max_output_tokens, new.price_state,
    new.input_price_usd, new.output_price_usd, new.cached_input_price_usd, new.retire_time, new.provenance,
    new.metadata, new.lifecycle, now()
from sync_plan cross join lateral jsonb_populate_record(null::models, sync_plan.fields) as new
where sync_plan.action = 'ADDED'
returning model_id
