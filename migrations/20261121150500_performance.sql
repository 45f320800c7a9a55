-- migrate:up

-- What a shadow policy would have chosen is looked for in a range of time; without one the index is empty.
create index decisions_shadow_idx on decisions (tenant_id, create_time) where detail ? 'shadow';
-- Calls come about in the order of their time, so that ranges of pages are all that a range of time needs to know.
create index messages_time_idx on messages using brin (create_time);

-- migrate:down

drop index messages_time_idx;
drop index decisions_shadow_idx;
