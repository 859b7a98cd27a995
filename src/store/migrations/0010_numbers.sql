-- Numbers that are never given again, however many rows go: what remembers one outlives them.
CREATE TABLE numbers (
    kind TEXT NOT NULL,                     -- users, accounts, calendars
    last INTEGER NOT NULL,
    PRIMARY KEY (kind)
) STRICT;
INSERT INTO numbers SELECT 'users', COALESCE(MAX(id), 0) FROM users;
INSERT INTO numbers SELECT 'accounts', COALESCE(MAX(id), 0) FROM accounts;
INSERT INTO numbers SELECT 'calendars', COALESCE(MAX(id), 0) FROM calendars;
