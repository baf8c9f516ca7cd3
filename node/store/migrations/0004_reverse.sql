-- Reverse look-up: which records may hold a text.  All of it is made from `record`, and can be made again.
create table reverse (
    key bytea primary key,      -- the record's canonical key
    grams int[] not null        -- hashes of all runs of three bytes in the values that are searched
);
create index reverse_grams on reverse using gin (grams);

-- How far that has come.
create table reverse_state (
    only_row boolean primary key default true check (only_row),
    rules text not null default '',     -- what is searched, and how grams are made; other rules: made anew
    epoch uuid,                         -- of the serial
    serial bigint not null default 0,   -- of the last change that was taken in
    made_upto bytea                     -- while it is made anew: the last key that was done; null: it is complete
);
insert into reverse_state default values;
