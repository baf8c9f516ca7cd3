-- One row.  A writing transaction takes its serials from it as its last statement, so commit order
-- is serial order and serials have no gaps (a sequence would show 8 before 7).  A new epoch says
-- that the numbering is another one: a restored or replaced database.
create table change_counter (
    only_row boolean primary key default true check (only_row),
    epoch uuid not null default gen_random_uuid(),
    serial bigint not null default 0
);

insert into change_counter default values;

-- What changed, in commit order.  Rows are pruned from the lowest serial up, never from the middle.
create table change (
    serial bigint primary key,
    key bytea not null,         -- kind 0: the record's canonical key; kind 1: the prefix's name
    kind smallint not null check (kind in (0, 1)),
    changed_at timestamptz not null default now()
);

-- A record, encoded once when it was written; a read moves bytes.
create table record (
    key bytea primary key,      -- canonical: two spellings of one identifier share it
    prefix bytea not null,      -- canonical name of its most specific prefix
    handle bytea not null,      -- the spelling it was registered with
    ttl int not null check (ttl >= 0),  -- seconds: the least of its values' relative ones
    expires bigint,             -- epoch second: the least of its values' absolute ones; null: none
    wire bytea not null,        -- count and public values, in stored order
    json bytea not null,        -- JSON array of the public values, by index
    whole bytea,                -- count and all values; null when all of them are public
    loaded bytea                -- digest of the line it was loaded from; null: written otherwise
);

-- The prefixes this node answers for, or sends the asker on from.
create table prefix (
    prefix bytea primary key,   -- canonical name
    spelling text not null,
    state smallint not null check (state in (1, 2))  -- 1 homed, 2 delegated
);
