-- What of the registration channel is due again: few rows, whatever the number of enterprises.
create index registration_again on registration (again_at) where again_at is not null;

-- When the top-level node put a message into its queue: with its number it tells a message from another one.
alter table notice add column queued_at timestamptz;

-- Whether a form ever named a file: its steps are kept for ever, and the file with them.  Those of before are kept.
alter table file add column named boolean not null default true;
create index file_unnamed on file (uploaded_at) where not named;
