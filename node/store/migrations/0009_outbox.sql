-- What the national top-level node is sent (docs/cycles/sync.md).  A change of kind 2 is one of a row of its tables, and
-- says the whole row, so that what is sent of a serial is exact however late it is sent.
alter table change
    add column number text collate "C",  -- kind 2: the table; `key` is the row's, in UTF-8
    add column body bytea,               -- kind 2: sealed; null: the row is gone
    drop constraint change_kind_check,
    add constraint change_kind_check check (
        kind in (0, 1) and number is null and body is null or kind = 2 and number is not null
    );
alter table change alter column body set storage external;  -- what is sealed cannot be compressed
create index change_row on change (serial) where kind = 2;

-- The rows as they are now, of all tables but 9: those are made from `record` and `version` when they are sent.
create table sync_row (
    number text collate "C",    -- of the table: "1" to "11", "M1", "M2", "E"
    key text collate "C",
    body bytea not null,        -- sealed
    primary key (number, key)
);
alter table sync_row alter column body set storage external;

-- Where the peer stands, as it was heard.
create table sync_peer (
    only_row boolean primary key default true check (only_row),
    epoch uuid,                 -- whose numbering the session's serials are: with another one the session is none
    session text not null default '',
    acknowledged bigint not null default 0,
    acknowledged_at timestamptz,
    is_complete boolean not null default false  -- the peer has all rows, and we all verdicts
);
insert into sync_peer default values;

-- What the peer did not take.
create table sync_rejection (
    number text collate "C",
    key text collate "C",
    serial bigint not null,     -- of the change, or of the page that brought the row
    code text not null,
    reason bytea not null,      -- sealed: a reviewer may name somebody
    at timestamptz not null default now(),
    primary key (number, key)
);

-- What each finished walk over all rows found.
create table sync_evidence (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    session text not null,
    serial_from bigint not null,
    serial_to bigint not null,
    digests jsonb not null,     -- [[table, rows, SHA-256 in hexadecimal]]
    pages bigint not null,
    repaired bigint not null    -- pages that differed at the peer
);
