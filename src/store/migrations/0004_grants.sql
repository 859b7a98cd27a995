-- Who may see or change whose calendar. Named by slug, as members are: a calendar may be granted before its account was
-- read for the first time.
CREATE TABLE grants (
    id       INTEGER PRIMARY KEY,
    owner_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    slug     TEXT NOT NULL,
    to_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    may      TEXT NOT NULL,                 -- busy, title, read, write
    summary  TEXT NOT NULL,                 -- what its owner calls it for the other; may be empty
    declared INTEGER NOT NULL,              -- by gateway.toml
    UNIQUE (owner_id, slug, to_id)
) STRICT;
CREATE INDEX grants_to ON grants (to_id);

-- A calendar in the home of whom it was granted to: made like a unified one, of members that are the owner's.
ALTER TABLE calendars ADD COLUMN grant_id INTEGER REFERENCES grants (id) ON DELETE CASCADE;
CREATE INDEX calendars_of_grant ON calendars (grant_id) WHERE grant_id IS NOT NULL;
