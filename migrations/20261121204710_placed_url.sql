-- migrate:up

-- Where the manager of a pool put the model, which is another matter than where somebody said it is; null for there.
alter table endpoints add column placed_url text check (octet_length(placed_url) between 1 and 2048);

-- migrate:down

alter table endpoints drop column placed_url;
