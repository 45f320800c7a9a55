-- migrate:up

-- How long a share of the calls lasts: as long as a call that failed took, so that it can be seen to fail again.
alter table breakers add column step_seconds double precision not null default 5 check (step_seconds between 1 and 3600);

-- migrate:down

alter table breakers drop column step_seconds;
