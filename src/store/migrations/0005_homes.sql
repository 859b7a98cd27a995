-- What a home was last seen to hold, so that its clients hear of calendars that come, change their look, or go.
CREATE TABLE homes (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    slug    TEXT NOT NULL,
    live    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,               -- of the home's own clock, when that was noticed
    look    TEXT NOT NULL,                  -- a digest of what a client sees of it besides its contents
    PRIMARY KEY (user_id, slug)
) STRICT;

-- Random, so that a token of another home, or of this one in another database, does not fit; 0: not given yet.
ALTER TABLE clocks ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
-- The home's own clock.
ALTER TABLE clocks ADD COLUMN looks INTEGER NOT NULL DEFAULT 0;
