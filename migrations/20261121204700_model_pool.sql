-- migrate:up

-- Loading and unloading take turns: who holds `busy_id` until `busy_until` is the one, on whichever server.
-- `state_time` is when the state changed last. A DOWN endpoint is looked at again at `due_time`, which is the later
-- the more often (`downs`) it went DOWN in a row.
alter table endpoints
    add column state_time timestamptz not null default now(),
    add column busy_id uuid,
    add column busy_until timestamptz,
    add column downs int not null default 0 check (downs >= 0),
    add column due_time timestamptz;

-- The hash, for an address can be longer than an index takes.
create unique index endpoints_place_idx on endpoints (model_id, md5(base_url));
create index endpoints_state_idx on endpoints (state);

-- Calls that run now, as each process counted them a moment ago. A process that has had any says so again every
-- second, so that those of one that died stop to count; when it has none any more, once.
create table endpoint_calls (
    endpoint_id text collate "C" not null references endpoints on delete cascade
        check (octet_length(endpoint_id) between 1 and 1024),
    process_id uuid not null,
    in_flight int not null check (in_flight >= 0),
    update_time timestamptz not null default now(),
    primary key (endpoint_id, process_id)
);

grant select, insert, update, delete on endpoint_calls to imrs_app, imrs_system;

-- migrate:down

drop table endpoint_calls;
drop index endpoints_state_idx;
drop index endpoints_place_idx;
alter table endpoints
    drop column due_time,
    drop column downs,
    drop column busy_until,
    drop column busy_id,
    drop column state_time;
