-- Who asked, by address: for the daily tables that the national top-level node asks for.  Kept apart from the ledger,
-- which has no address, and only for some days.

-- Which address is behind a client's tag; dropped when its day is counted.
create table source_client (
    day date not null,
    client bigint not null,  -- the tag as a signed number
    address inet not null,
    primary key (day, client)
);

-- A day's requests and successes in production, by registered prefix and address; 0.0.0.0 are all others.
create table source_day (
    day date not null,
    prefix text not null,  -- empty: of no registered prefix
    address inet not null,
    requests bigint not null check (requests > 0),
    successes bigint not null check (successes between 0 and requests),
    primary key (day, prefix, address)
);
