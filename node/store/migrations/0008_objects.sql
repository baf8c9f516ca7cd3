-- The objects of the model (node/model): the operator, the node's routes, enterprises, prefixes, templates, applications.
create table object (
    kind text collate "C" not null,
    id text collate "C" not null,           -- canonical: two spellings of one name share it
    enterprise text collate "C" not null,   -- whose it is; empty: the node's own
    state text not null,                    -- of its life
    answerer text check (answerer in ('nobody', 'here', 'enterprise')),  -- of a prefix, as `prefix` has it
    version int not null default 1,         -- counts its steps
    serial bigint not null default 0,       -- where the numbering of changes stood after its newest step
    changed_at timestamptz not null,
    body jsonb not null,                    -- the value without what is personal
    personal bytea,                         -- the rest of it, sealed; null: there is nothing
    primary key (kind, id)
);
create index object_enterprise on object (enterprise, kind, id);
create index object_state on object (kind, state, id);
create index object_serial on object (kind, serial);

-- What only one of them may have: the certificate of an organisation.
create table object_claim (
    claim text collate "C" primary key,
    kind text collate "C" not null,
    id text collate "C" not null
);
create index object_claim_of on object_claim (kind, id);

-- Every step, for ever.  What a step left behind is the `before` of the next one, or the object itself.
create table object_version (
    kind text collate "C" not null,
    id text collate "C" not null,
    version int not null,                   -- the object's afterwards
    serial bigint not null,
    at timestamptz not null,
    action text not null,
    state text not null,                    -- afterwards
    caller text not null,
    means text not null,                    -- how the caller proved it
    origin text not null,
    reason text not null,
    before jsonb,                           -- null: no object
    before_personal bytea,
    primary key (kind, id, version)
);
create trigger object_version_is_append_only before update or delete on object_version
    for each row execute function refuse_change();
