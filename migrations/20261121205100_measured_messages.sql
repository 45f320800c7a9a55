-- migrate:up

-- Calls that Complete made itself: what it counted is not for the agent to tell anew.
alter table messages add column measured bool not null default false;

-- migrate:down

alter table messages drop column measured;
