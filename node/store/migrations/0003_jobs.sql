-- Bulk jobs.  What a job has done so far is written in the transaction that does it, so a job that was cut short goes on
-- exactly where it was.
create table job (
    id bigint generated always as identity primary key,
    kind text not null check (kind in ('load', 'operations')),
    format text not null check (format in ('ndjson', 'csv', 'batch')),
    is_dry_run boolean not null,
    delegated boolean not null,     -- what a 0.NA/ line means that does not say
    name text not null,             -- what the file was called
    file text not null unique,      -- what it is called in the directory of jobs: whoever has it can do the job
    size bigint not null,           -- bytes
    caller_handle bytea not null,
    caller_index bigint not null,
    means text not null,            -- how the caller proved it
    reason text not null,           -- goes into the versions
    state text not null default 'queued'
        check (state in ('queued', 'running', 'done', 'failed', 'cancelled')),
    is_cancelled boolean not null default false,    -- somebody wants it to stop
    starts int not null default 0,  -- since it last came further
    made_at timestamptz not null default now(),
    started_at timestamptz,
    ended_at timestamptz,
    row bigint not null default 0,          -- the last row of the file that is done
    bytes bigint not null default 0,        -- of the file that are done
    results bigint not null default 0,      -- bytes of the result file that count
    outcomes jsonb not null default '{}',   -- outcome -> rows
    message text not null default ''        -- why it failed
);
create index job_waiting on job (id) where state in ('queued', 'running');
