-- The audit ledger: an index of the log, and the lock of its writer.  The evidence is the files; `idnode audit rebuild-db`
-- makes these rows from them.
create table ledger_leaf (
    origin text not null,       -- whose log: nodes that share a database have one each
    idx bigint not null check (idx >= 0),
    kind text not null,
    lane int,                   -- of leaves that speak of a lane, as the next four
    epoch bigint,
    block bigint,               -- of blk; of gap their number in the epoch; of ep 0 open, 1 close
    first_seq bigint,           -- of blk
    last_seq bigint,
    t1 timestamptz,             -- when it ends, or happened
    line bytea not null,
    leaf_hash bytea not null check (length(leaf_hash) = 32),
    primary key (origin, idx),
    unique (origin, lane, epoch, kind, block)   -- what is sealed twice is stored once
);
create index ledger_leaf_record on ledger_leaf (origin, lane, epoch, last_seq, block) where kind = 'blk';
create index ledger_leaf_kind on ledger_leaf (origin, kind, idx) where kind not in ('blk', 'met');
create table ledger_head (      -- changed by compare-and-swap only
    origin text primary key,
    size bigint not null,
    root bytea not null check (length(root) = 32),
    note text not null default '',
    updated timestamptz not null default now()
);
create table ledger_cosig (
    origin text not null,
    size bigint not null,
    witness text not null,
    ts bigint not null,         -- POSIX seconds, the witness's clock
    line text not null,         -- of the signed note
    primary key (origin, size, witness)
);
