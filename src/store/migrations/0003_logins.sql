-- Programs that wait for their user to let them in (login flow). Both tokens are kept as SHA-256.
CREATE TABLE logins (
    poll_hash  BLOB NOT NULL,               -- the program has this token
    page_hash  BLOB NOT NULL UNIQUE,        -- the user's browser has this one
    agent      TEXT NOT NULL,               -- what the program calls itself
    asked_from TEXT NOT NULL,               -- the address block it asked from
    until      INTEGER NOT NULL,
    user_id    INTEGER REFERENCES users (id) ON DELETE CASCADE, -- who let it in
    PRIMARY KEY (poll_hash)
) STRICT;
CREATE INDEX logins_from ON logins (asked_from);
CREATE INDEX logins_until ON logins (until);
CREATE INDEX logins_user ON logins (user_id);
