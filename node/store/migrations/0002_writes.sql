-- A deleted record stays as its tombstone: `gone` says when and why, and there are no values.
alter table record
    add column version int not null default 1,  -- counts the writes; goes on after a deletion
    add column gone bytea;                      -- JSON object {"at": epoch second, "reason": text}; null: alive

create index record_prefix on record (prefix, key) where gone is null;

-- Every write, for ever.  What a write left behind is the `before` of the next one, or the record itself.
create table version (
    key bytea not null,
    version int not null,           -- the record's afterwards
    serial bigint not null,         -- of its change
    at timestamptz not null default now(),
    operation text not null,
    caller text not null,           -- index:handle
    means text not null,            -- how the caller proved it
    origin text not null,           -- transport and address
    reason text not null,
    before bytea,                   -- count and all values, secret keys sealed; null: no record
    primary key (key, version)
);
create index version_serial on version (serial);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the table % is only ever added to', tg_table_name;
end $$;
create trigger version_is_append_only before update or delete on version
    for each row execute function refuse_change();

-- What a write with an Idempotency-Key was told; kept for a day.
create table idempotency (
    caller text not null,
    key text not null,
    digest bytea not null,          -- of the write: the same key for another write is refused
    verdict bytea not null,         -- JSON
    at timestamptz not null default now(),
    primary key (caller, key)
);
create index idempotency_at on idempotency (at);

-- API tokens, and sessions over HTTP, by the hash of what the client holds.
create table token (
    hash bytea primary key,         -- SHA-256 of the token
    name text not null,
    kind smallint not null check (kind in (0, 1)),  -- 0 API token, 1 session
    handle bytea not null,          -- whose: canonical key
    index bigint not null,
    scopes text[],                  -- null: no limit
    prefixes bytea[] not null default '{}',
    is_operator boolean not null default false,
    made_at timestamptz not null default now(),
    expires_at timestamptz,         -- null: never
    revoked_at timestamptz
);
create index token_expires_at on token (expires_at) where expires_at is not null;
