-- migrate:up

-- Who failed of late and is left alone for a while; a row for each breaker that is not closed. The few of them change
-- all the time.
create table breakers (
    kind text not null check (kind in ('PROVIDER', 'MODEL', 'ENDPOINT')),
    subject_id text collate "C" not null check (octet_length(subject_id) between 1 and 1024),
    phase text not null check (phase in ('COOLING', 'RETURNING', 'WATCHED')),
    cause text not null check (cause in (
        'rate_limited', 'rate_limit_rpm', 'overloaded', 'timeout', 'network', 'invalid_response', 'auth', 'no_credit'
    )),
    share double precision not null check (share between 0 and 1),
    openings int not null check (openings > 0),
    generation bigint not null check (generation > 0),
    since_time timestamptz not null,
    due_time timestamptz not null,
    primary key (kind, subject_id)
) with (fillfactor = 50);
create index breakers_due_idx on breakers (due_time);

-- A number for each phase of each breaker. Only whether two are equal counts.
create sequence breaker_generations;

-- Calls of providers that have a rate_limit_rpm, by the second in which they were granted (since 1970).
create table provider_calls (
    provider_id text collate "C" not null references providers on delete cascade,
    second bigint not null check (second > 0),
    calls int not null check (calls > 0),
    primary key (provider_id, second)
) with (fillfactor = 50);

grant select, insert, update, delete on breakers, provider_calls to imrs_app, imrs_system;
grant usage on sequence breaker_generations to imrs_app, imrs_system;

-- migrate:down

drop table provider_calls;
drop sequence breaker_generations;
drop table breakers;
