-- Written once, as SQLite STRICT tables; store/postgres.rs turns it into PostgreSQL (INTEGER becomes BIGINT, and so on).
-- Booleans are 0 and 1, instants are seconds since 1970 UTC.

CREATE TABLE users (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    password     TEXT,                      -- argon2id, PHC form
    display_name TEXT NOT NULL,
    addresses    TEXT NOT NULL,             -- one a line, the first preferred
    zone         TEXT NOT NULL,             -- IANA
    declared     INTEGER NOT NULL,          -- by gateway.toml
    active       INTEGER NOT NULL
) STRICT;

-- One clock for each user. Whoever changes a calendar of theirs takes the next number here, under this row's lock, so
-- numbers are seen in the order they were given, whatever the engine and however many nodes.
CREATE TABLE clocks (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (user_id)
) STRICT;

CREATE TABLE app_passwords (
    id        INTEGER PRIMARY KEY,
    user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    label     TEXT NOT NULL,
    hash      BLOB NOT NULL UNIQUE,         -- keyed; the password is not stored
    read_only INTEGER NOT NULL,
    created   INTEGER NOT NULL,
    last_used INTEGER
) STRICT;
CREATE INDEX app_passwords_of ON app_passwords (user_id);

CREATE TABLE accounts (
    id         INTEGER PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    url        TEXT NOT NULL,
    login      TEXT NOT NULL,
    reference  TEXT,                        -- env:NAME or file:PATH
    sealed     BLOB,                        -- the password, sealed
    take       TEXT NOT NULL,               -- JSON list of what is taken; empty: all
    declared   INTEGER NOT NULL,
    active     INTEGER NOT NULL,
    addresses  TEXT NOT NULL,               -- one a line, as the upstream told
    error      TEXT,
    error_at   INTEGER,
    checked_at INTEGER,
    UNIQUE (user_id, name)
) STRICT;

CREATE TABLE calendars (
    id            INTEGER PRIMARY KEY,
    user_id       INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    slug          TEXT NOT NULL,
    source        TEXT NOT NULL,            -- local, mirror, unified
    account_id    INTEGER REFERENCES accounts (id) ON DELETE CASCADE,
    remote_id     TEXT,
    write_to      TEXT,                     -- slug of the member that new objects go to
    declared      INTEGER NOT NULL,
    active        INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,         -- random; makes tokens of this calendar fit no other
    seq           INTEGER NOT NULL,
    floor         INTEGER NOT NULL,         -- tombstones up to here are gone
    changed_at    INTEGER NOT NULL,
    given_name    TEXT NOT NULL,            -- by gateway.toml or the upstream
    given_color   TEXT NOT NULL,
    given_text    TEXT NOT NULL,            -- description
    own_name      TEXT,                     -- by the user's client, which wins
    own_color     TEXT,
    own_order     TEXT,
    own_text      TEXT,
    timezone      TEXT NOT NULL,            -- VCALENDAR with a VTIMEZONE, or empty
    zone          TEXT NOT NULL,            -- IANA name of it, or empty: the user's
    components    TEXT NOT NULL,            -- VEVENT VTODO VJOURNAL
    writable      INTEGER NOT NULL,         -- as far as the upstream lets us
    indexed_from  INTEGER NOT NULL,         -- the horizon of the time index
    indexed_until INTEGER NOT NULL,
    shape         TEXT NOT NULL,            -- unified: the members it was last made of
    asked         TEXT NOT NULL DEFAULT '', -- mirrors: the words by which the upstream calendar was found
    cursor        TEXT,
    listed_at     INTEGER,                  -- when everything was listed last, instead of what changed
    pulled_at     INTEGER,
    error         TEXT,
    error_at      INTEGER,
    UNIQUE (user_id, slug)
) STRICT;
CREATE INDEX calendars_of_account ON calendars (account_id);

-- Members are named by slug: one may be configured before its account was read for the first time.
CREATE TABLE members (
    unified_id INTEGER NOT NULL REFERENCES calendars (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    slug       TEXT NOT NULL,
    mask       TEXT NOT NULL,               -- full, title, busy
    PRIMARY KEY (unified_id, slug)
) STRICT;

-- What is there is live; what was there stays as a tombstone, so that clients hear of it.
-- Mirrors: a row is clean when upstream holds the same text. A dirty one keeps the last agreed text in `base`.
-- Unified: `origin_id` is the member's row that is shown; `body` is filled only where a mask hides something.
CREATE TABLE resources (
    id          INTEGER PRIMARY KEY,
    calendar_id INTEGER NOT NULL REFERENCES calendars (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    uid         TEXT NOT NULL,
    kind        INTEGER NOT NULL,           -- 0 event, 1 todo, 2 journal, 3 other
    live        INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    etag        TEXT NOT NULL,
    size        INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    first       INTEGER,                    -- the span; NULL is without bound
    last        INTEGER,
    dense       INTEGER NOT NULL,           -- not in the time index: the span selects, expansion decides
    origin_id   INTEGER REFERENCES resources (id) ON DELETE CASCADE,
    remote_id   TEXT,
    remote_etag TEXT,
    dirty       INTEGER NOT NULL,           -- upstream does not hold what is here
    sent        TEXT NOT NULL DEFAULT '',   -- digests of our versions that upstream may have been sent since `base`
    refused     TEXT,                       -- why upstream will never take it
    error       TEXT,                       -- why it could not be sent the last time
    verdict_seq INTEGER,                    -- what became of the version with that seq
    verdict     TEXT,                       -- sent, altered, conflict, refused, away
    base        TEXT,
    body        TEXT,
    UNIQUE (calendar_id, name)
) STRICT;
-- The two listings (Depth 1 and the sync report) read an index and no row.
CREATE INDEX resources_listed ON resources (calendar_id, live, name, etag, kind, size, changed_at);
CREATE INDEX resources_since ON resources (calendar_id, seq, live, name, etag, kind, size, changed_at);
CREATE INDEX resources_uid ON resources (calendar_id, uid, live);
CREATE INDEX resources_remote ON resources (calendar_id, remote_id, remote_etag) WHERE remote_id IS NOT NULL;
CREATE INDEX resources_origin ON resources (origin_id, calendar_id) WHERE origin_id IS NOT NULL;
CREATE INDEX resources_dirty ON resources (calendar_id) WHERE dirty = 1;
CREATE INDEX resources_dense ON resources (calendar_id, live, first, last) WHERE dense = 1;

-- The time index: instances of live events inside the calendar's horizon. Floating ones are wall-clock seconds.
-- Long ones are apart, so that the others are found by a bounded range of `start`.
CREATE TABLE instances (
    calendar_id INTEGER NOT NULL REFERENCES calendars (id) ON DELETE CASCADE,
    long        INTEGER NOT NULL,
    start       INTEGER NOT NULL,
    finish      INTEGER NOT NULL,
    floating    INTEGER NOT NULL,
    busy        INTEGER NOT NULL,           -- 0 free, 1 tentative, 2 busy, 3 unavailable
    resource_id INTEGER NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    PRIMARY KEY (calendar_id, long, start, finish, floating, busy, resource_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX instances_of ON instances (resource_id);

-- Upstream objects that could not be read, and why. They are not shown, and not lost: upstream has them.
CREATE TABLE set_aside (
    calendar_id INTEGER NOT NULL REFERENCES calendars (id) ON DELETE CASCADE,
    remote_id   TEXT NOT NULL,
    remote_etag TEXT NOT NULL,
    body        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    busy        INTEGER NOT NULL,           -- it may take time: free/busy does not know of what
    first       INTEGER,                    -- as far as anything can be made of it; NULL is without bound
    last        INTEGER,
    PRIMARY KEY (calendar_id, remote_id)
) STRICT;

-- Versions that lost a conflict, where the user can take them back.
CREATE TABLE kept (
    id          INTEGER PRIMARY KEY,
    calendar_id INTEGER NOT NULL REFERENCES calendars (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    uid         TEXT NOT NULL,
    body        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX kept_of ON kept (calendar_id, uid);

CREATE TABLE properties (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    path    TEXT NOT NULL,
    ns      TEXT NOT NULL,
    name    TEXT NOT NULL,
    xml     TEXT NOT NULL,
    PRIMARY KEY (user_id, path, ns, name)
) STRICT;

CREATE TABLE feeds (
    token_hash BLOB NOT NULL,               -- SHA-256
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    slug       TEXT NOT NULL,
    kind       TEXT NOT NULL,               -- freebusy, busy, full
    PRIMARY KEY (token_hash)
) STRICT;

-- Standing duties. `lease` is until when the holder has it.
CREATE TABLE jobs (
    duty   TEXT NOT NULL,
    due    INTEGER NOT NULL,
    lease  INTEGER NOT NULL,
    holder TEXT NOT NULL,
    tries  INTEGER NOT NULL,
    PRIMARY KEY (duty)
) STRICT;
CREATE INDEX jobs_due ON jobs (due);
