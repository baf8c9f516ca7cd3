-- Secret keys that were stored before they were sealed (see node/store/sealing.py) are sealed once.
create table sealing (
    only_row boolean primary key default true check (only_row),
    done_at timestamptz             -- null: not yet
);
insert into sealing default values;
