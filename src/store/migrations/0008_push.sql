-- Whom to tell of changes (WebDAV-Push). `calendar_id` NULL: the user's home.
CREATE TABLE subscriptions (
    id            INTEGER PRIMARY KEY,
    user_id       INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    calendar_id   INTEGER REFERENCES calendars (id) ON DELETE CASCADE,
    token         TEXT NOT NULL UNIQUE,     -- the last segment of its URL
    receiver      BLOB NOT NULL,            -- address and keys, sealed
    receiver_hash BLOB NOT NULL,            -- keyed, of the address
    content       TEXT,                     -- the contents it was told of last; NULL: not wanted
    look          TEXT,                     -- the properties it was told of last; NULL: not wanted
    expires       INTEGER NOT NULL,
    failing       INTEGER,                  -- since when it can not be reached
    tries         INTEGER NOT NULL,         -- how often, since it last could
    not_before    INTEGER NOT NULL,         -- when it may be tried again
    -- By which login it was made: it ends with that. An app password, or the password of which this is a digest.
    app_password  INTEGER REFERENCES app_passwords (id) ON DELETE CASCADE,
    password      TEXT
) STRICT;
CREATE INDEX subscriptions_of ON subscriptions (user_id, expires);
CREATE INDEX subscriptions_to ON subscriptions (calendar_id);

-- Secrets that every node has in common, sealed.
CREATE TABLE common_secrets (
    name   TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (name)
) STRICT;
