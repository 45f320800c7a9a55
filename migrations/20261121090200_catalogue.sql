-- migrate:up

-- Text that the API leaves empty when it is not set is '' here; null is for what the API calls optional.
-- No key of a provider is ever stored here: keys are in Vault, key_version says which version there is the one.
create table providers (
    provider_id text collate "C" primary key check (provider_id ~ '^[a-z0-9][a-z0-9_-]{0,49}$'),
    display_name text not null default '' check (octet_length(display_name) <= 1024),
    provider_type text not null
        check (provider_type in ('OPENROUTER', 'OPENAI', 'ANTHROPIC', 'AZURE', 'OLLAMA', 'CUSTOM')),
    dialect text not null check (dialect ~ '^[a-z][a-z0-9_-]{0,31}$'),
    api_base text not null check (octet_length(api_base) between 1 and 2048),
    models_endpoint text not null default '/models' check (octet_length(models_endpoint) <= 2048),
    options jsonb not null default '{}' check (jsonb_typeof(options) = 'object'),
    pool_url text not null default '' check (octet_length(pool_url) <= 2048),
    rate_limit_rpm int check (rate_limit_rpm > 0),
    sync_interval interval check (sync_interval > interval '0' and sync_interval <= interval '400 days'),
    data_policy jsonb check (jsonb_typeof(data_policy) = 'object'),
    key_version int check (key_version > 0),
    state text not null default 'ACTIVE' check (state in ('ACTIVE', 'DISABLED', 'DELETED')),
    last_synced_time timestamptz,
    last_sync_error text not null default '' check (octet_length(last_sync_error) <= 8192),
    created_by text not null default '' check (octet_length(created_by) <= 1024),
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    delete_time timestamptz,
    version bigint not null default 1 check (version > 0),
    check ((state = 'DELETED') = (delete_time is not null))
);
create index providers_state_idx on providers (state);

-- Prices are USD per 1M tokens; null is unknown, never 0. `between` also refuses NaN, which is above every number.
create table models (
    model_id text collate "C" primary key
        check (char_length(model_id) between 3 and 255 and model_id !~ '[\u0001-\u001f\u007f-\u009f]'),
    provider_id text collate "C" not null references providers,
    external_id text collate "C" not null check (external_id <> ''),
    display_name text not null default '' check (octet_length(display_name) <= 1024),
    model_type text not null default 'CHAT'
        check (model_type in ('CHAT', 'EMBEDDING', 'IMAGE', 'AUDIO', 'RERANK')),
    capabilities jsonb not null default '[]' check (jsonb_typeof(capabilities) = 'array'),
    domains jsonb not null default '[]' check (jsonb_typeof(domains) = 'array'),
    priority int not null default 50 check (priority between 0 and 100),
    cost_tier text not null default 'STANDARD' check (cost_tier in ('FREE', 'LOW', 'STANDARD', 'PREMIUM')),
    context_length int check (context_length >= 0),
    max_output_tokens int check (max_output_tokens >= 0),
    price_state text not null default 'PRICE_UNKNOWN'
        check (price_state in ('PRICE_KNOWN', 'PRICE_FREE', 'PRICE_VARIABLE', 'PRICE_UNKNOWN')),
    input_price_usd numeric(18, 9) check (input_price_usd between 0 and 999999999),
    output_price_usd numeric(18, 9) check (output_price_usd between 0 and 999999999),
    cached_input_price_usd numeric(18, 9) check (cached_input_price_usd between 0 and 999999999),
    parameters jsonb not null default '{}' check (jsonb_typeof(parameters) = 'object'),
    available bool not null default true,
    lifecycle text not null default 'ACTIVE' check (lifecycle in ('ACTIVE', 'MISSING', 'RETIRING', 'RETIRED')),
    missing_since timestamptz,
    retire_time timestamptz,
    provenance jsonb not null default '{}' check (jsonb_typeof(provenance) = 'object'),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    synced_time timestamptz,
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    delete_time timestamptz,
    version bigint not null default 1 check (version > 0),
    unique (provider_id, external_id),
    check (model_id = provider_id || '/' || external_id)
);
-- Each ends in the key by which pages go on, so that a filtered page is one range of one index.
create index models_provider_idx on models (provider_id, model_id) where delete_time is null;
create index models_available_idx on models (available, model_id) where delete_time is null;
create index models_model_type_idx on models (model_type, model_id) where delete_time is null;
create index models_cost_tier_idx on models (cost_tier, model_id) where delete_time is null;
create index models_capabilities_idx on models using gin (capabilities jsonb_path_ops);

-- What each sync changed: only the fields that differ. Outlives the models it tells of.
create table model_changes (
    change_id uuid primary key,
    provider_id text collate "C" not null check (provider_id ~ '^[a-z0-9][a-z0-9_-]{0,49}$'),
    model_id text collate "C" not null check (char_length(model_id) between 3 and 255),
    action text not null check (action ~ '^[A-Z][A-Z_]{0,31}$'),
    before jsonb check (jsonb_typeof(before) = 'object'),
    after jsonb check (jsonb_typeof(after) = 'object'),
    synced_time timestamptz not null,
    create_time timestamptz not null default now()
);
create index model_changes_provider_idx on model_changes (provider_id, synced_time, change_id);
create index model_changes_model_idx on model_changes (model_id, synced_time, change_id);

grant select, insert, update on providers, models to imrs_app;
grant select, insert on model_changes to imrs_app;
grant select, insert, update, delete on providers, models, model_changes to imrs_system;

-- migrate:down

drop table model_changes;
drop table models;
drop table providers;
