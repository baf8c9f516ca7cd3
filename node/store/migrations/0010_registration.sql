-- Photos of papers that enterprises hand in, sealed; a form names them by their ids.
create table file (
    id text collate "C" primary key,    -- 22 characters of base64url: 128 random bits
    media_type text not null,
    bytes bytea not null,               -- sealed
    uploaded_at timestamptz not null default now()
);

-- What the top-level node was told of an enterprise over the registration channel, or why not.
create table registration (
    enterprise text collate "C" primary key,
    version int not null,               -- of the enterprise when it was last looked at
    papers bytea,                       -- keyed digests of what was told: what is reviewed anew when it changes,
    details bytea,                      -- and the rest; null: nothing was told yet
    code int,                           -- of the answer that refused it; null: all is well
    reason bytea not null,              -- sealed: who corrects papers is told about people
    again_at timestamptz                -- when it is tried once more; null: when the enterprise is changed
);

-- Every message of the top-level node's queue, stored before it is taken off there.
create table notice (
    id bigint generated always as identity primary key,
    message_id text not null unique,
    taken_at timestamptz not null default now(),
    prefix text not null,
    passed boolean not null,
    state int,
    message bytea not null,             -- sealed
    effect text not null default ''     -- the rule of the step that it led to, or why there was none
);

-- Days of the ledger that are closed and whose sources are in `source_day`: what the top-level node is told of them.
create table closed_day (
    day date primary key,
    told boolean not null default false     -- whether 表3 and 表8 have their rows
);

create index version_at on version using brin (at);  -- what was registered in a day
