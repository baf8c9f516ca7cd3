"""The only code that speaks SQL.  Postgres is the truth; every other store may be lost."""
