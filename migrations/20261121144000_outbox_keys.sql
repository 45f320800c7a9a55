-- migrate:up

-- One row a key: what is told later takes the place of what was not delivered yet. item_id names the version.
-- While a version is being delivered, next_time lies in the future, so that no newer one can overtake it.
delete from outbox as older
using outbox as newer
where newer.tenant_id = older.tenant_id and newer.kind = older.kind and newer.key = older.key
  and (newer.create_time, newer.item_id) > (older.create_time, older.item_id);
alter table outbox drop constraint outbox_pkey, add primary key (tenant_id, kind, key);
alter table outbox alter column item_id set default gen_random_uuid();
create index outbox_age_idx on outbox (kind, create_time);

-- A vote may be put in place of its older version by whoever may vote.
grant select, update on outbox to imrs_app;

-- migrate:down

revoke select, update on outbox from imrs_app;
drop index outbox_age_idx;
alter table outbox alter column item_id drop default;
alter table outbox drop constraint outbox_pkey, add primary key (tenant_id, item_id);
