-- Scheduling and availability (RFC 6638, RFC 7953).
ALTER TABLE users ADD COLUMN availability TEXT NOT NULL DEFAULT '';     -- VCALENDAR with VAVAILABILITYs, or empty
ALTER TABLE users ADD COLUMN new_events TEXT NOT NULL DEFAULT '';       -- slug of the calendar for them, or empty
ALTER TABLE users ADD COLUMN free_busy TEXT NOT NULL DEFAULT 'users';   -- who may ask: users, grants, nobody
ALTER TABLE calendars ADD COLUMN given_transparent INTEGER NOT NULL DEFAULT 0;  -- by the upstream
ALTER TABLE calendars ADD COLUMN own_transparent INTEGER;               -- by the user's client, which wins
ALTER TABLE calendars ADD COLUMN schedules INTEGER NOT NULL DEFAULT 0;  -- mirrors: its upstream sends invitations

-- /dav/NAME/inbox/ and /dav/NAME/outbox/ are scheduling's places now. A calendar that was there gets the next name, and
-- all that speaks of it does too.
UPDATE calendars SET slug = slug || '-calendar' || CASE WHEN EXISTS (
        SELECT 1 FROM calendars other WHERE other.user_id = calendars.user_id AND other.slug = calendars.slug || '-calendar'
    ) THEN '-' || CAST(id AS TEXT) ELSE '' END
 WHERE slug IN ('inbox', 'outbox');
UPDATE calendars SET write_to = write_to || '-calendar' WHERE write_to IN ('inbox', 'outbox');
UPDATE members SET slug = slug || '-calendar' WHERE slug IN ('inbox', 'outbox');
UPDATE grants SET slug = slug || '-calendar' WHERE slug IN ('inbox', 'outbox');
UPDATE feeds SET slug = slug || '-calendar' WHERE slug IN ('inbox', 'outbox');
UPDATE properties SET path = (
        SELECT '/dav/' || u.name || '/inbox-calendar/' || SUBSTR(path, LENGTH('/dav/' || u.name || '/inbox/') + 1)
          FROM users u WHERE u.id = properties.user_id)
 WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = properties.user_id
                  AND SUBSTR(path, 1, LENGTH('/dav/' || u.name || '/inbox/')) = '/dav/' || u.name || '/inbox/');
UPDATE properties SET path = (
        SELECT '/dav/' || u.name || '/outbox-calendar/' || SUBSTR(path, LENGTH('/dav/' || u.name || '/outbox/') + 1)
          FROM users u WHERE u.id = properties.user_id)
 WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = properties.user_id
                  AND SUBSTR(path, 1, LENGTH('/dav/' || u.name || '/outbox/')) = '/dav/' || u.name || '/outbox/');
