-- migrate:up

-- A platform admin reads the log of all tenants by time.
create index audit_events_time_idx on audit_events (create_time, event_id);

-- migrate:down

drop index audit_events_time_idx;
