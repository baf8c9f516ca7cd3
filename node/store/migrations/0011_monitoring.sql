-- How this node did (docs/reference/sync.md, "Monitoring"): what annexes 2 and 3 of the access guide ask for.
create table monitored_minute (
    minute timestamptz primary key,
    seconds bigint not null     -- a bit for each second in which an instance could resolve and register
);

create table monitored_day (
    day date primary key,       -- of Asia/Shanghai
    figures jsonb not null,     -- node/upstream/figures.py; null: none yet
    told boolean not null       -- whether M1 has its row
);

create table state_event (
    event text collate "C" primary key,
    answers text collate "C" not null,  -- the event that is over; empty: this one is abnormal
    at timestamptz not null,
    cause text not null,
    cause_class smallint not null
);
create index state_event_at on state_event (at);
create index state_event_answers on state_event (answers);

-- Times in which an instance was stopped in order.
create table maintenance_stop (
    began_at timestamptz,
    ended_at timestamptz,
    primary key (began_at, ended_at)
);
