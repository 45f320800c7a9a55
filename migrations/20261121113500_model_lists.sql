-- migrate:up

-- Every order in which models are listed is one range of one index, also in a catalogue of a million.
create index models_by_display_name_idx on models (display_name, model_id) where delete_time is null;
create index models_by_priority_idx on models (priority, model_id) where delete_time is null;
create index models_by_context_length_idx on models (coalesce(context_length, 0), model_id) where delete_time is null;
create index models_by_input_price_idx on models (coalesce(input_price_usd, 1000000000), model_id)
where delete_time is null;
create index models_by_create_time_idx on models (create_time, model_id) where delete_time is null;

-- Models on their way out; hardly ever more than a few.
create index models_leaving_idx on models (lifecycle, model_id)
where lifecycle in ('MISSING', 'RETIRING') and delete_time is null;

create index model_changes_newest_idx on model_changes (provider_id, create_time, change_id);

-- Search by a part of a name reads the whole table without this extension, which not every server has and not
-- every login may add.
do $$
begin
    create extension if not exists pg_trgm;
    -- Not of the undeleted only: the planner does not use what it knows of a partial index's expression.
    create index models_search_idx on models
    using gin ((lower((model_id collate "default") || chr(10) || display_name)) gin_trgm_ops);
exception
    when insufficient_privilege or undefined_file or feature_not_supported or undefined_object then
        raise notice 'pg_trgm is not there: searching a large catalogue will be slow';
end
$$;

-- When a provider was last asked for its list, and how often in a row that failed.
alter table providers add column last_attempt_time timestamptz;
alter table providers add column sync_failures int not null default 0 check (sync_failures >= 0);
update providers set last_attempt_time = last_synced_time;

-- migrate:down

alter table providers drop column sync_failures;
alter table providers drop column last_attempt_time;
drop index if exists models_search_idx;
do $$
begin
    drop extension if exists pg_trgm;
exception
    when dependent_objects_still_exist or insufficient_privilege then
        raise notice 'pg_trgm stays: it is not only ours';
end
$$;
drop index model_changes_newest_idx;
drop index models_leaving_idx;
drop index models_by_create_time_idx;
drop index models_by_input_price_idx;
drop index models_by_context_length_idx;
drop index models_by_priority_idx;
drop index models_by_display_name_idx;
