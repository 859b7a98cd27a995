-- Scheduling and availability (RFC 6638, RFC 7953).
ALTER TABLE users ADD COLUMN availability TEXT NOT NULL DEFAULT '';     -- VCALENDAR with VAVAILABILITYs, or empty
ALTER TABLE users ADD COLUMN new_events TEXT NOT NULL DEFAULT '';       -- slug of the calendar for them, or empty
ALTER TABLE users ADD COLUMN free_busy TEXT NOT NULL DEFAULT 'users';   -- who may ask: users, grants, nobody
ALTER TABLE calendars ADD COLUMN given_transparent INTEGER NOT NULL DEFAULT 0;  -- by the upstream
ALTER TABLE calendars ADD COLUMN own_transparent INTEGER;               -- by the user's client, which wins
ALTER TABLE calendars ADD COLUMN schedules INTEGER NOT NULL DEFAULT 0;  -- mirrors: its upstream sends invitations

-- /dav/NAME/inbox/ and /dav/NAME/outbox/ are scheduling's places now. A calendar that was there gets the next name that
-- nothing has or speaks of, and all that speaks of it does too.
CREATE TABLE renamed (calendar_id INTEGER NOT NULL, user_id INTEGER NOT NULL, was TEXT NOT NULL, becomes TEXT NOT NULL);
INSERT INTO renamed SELECT id, user_id, slug, slug || '-calendar' FROM calendars WHERE slug IN ('inbox', 'outbox');
UPDATE renamed SET becomes = becomes || '-' || CAST(calendar_id AS TEXT)
 WHERE EXISTS (SELECT 1 FROM calendars c WHERE c.user_id = renamed.user_id AND c.slug = renamed.becomes)
    OR EXISTS (SELECT 1 FROM calendars c WHERE c.write_to = renamed.becomes)
    OR EXISTS (SELECT 1 FROM members m WHERE m.slug = renamed.becomes)
    OR EXISTS (SELECT 1 FROM grants g WHERE g.slug = renamed.becomes)
    OR EXISTS (SELECT 1 FROM feeds f WHERE f.slug = renamed.becomes);
UPDATE renamed SET becomes = becomes || (SELECT '-' || CAST(c.epoch AS TEXT) FROM calendars c WHERE c.id = renamed.calendar_id)
 WHERE EXISTS (SELECT 1 FROM calendars c WHERE c.user_id = renamed.user_id AND c.slug = renamed.becomes)
    OR EXISTS (SELECT 1 FROM calendars c WHERE c.write_to = renamed.becomes)
    OR EXISTS (SELECT 1 FROM members m WHERE m.slug = renamed.becomes)
    OR EXISTS (SELECT 1 FROM grants g WHERE g.slug = renamed.becomes)
    OR EXISTS (SELECT 1 FROM feeds f WHERE f.slug = renamed.becomes);
UPDATE calendars SET slug = (SELECT n.becomes FROM renamed n WHERE n.calendar_id = calendars.id)
 WHERE EXISTS (SELECT 1 FROM renamed n WHERE n.calendar_id = calendars.id);
UPDATE feeds SET slug = (SELECT n.becomes FROM renamed n WHERE n.user_id = feeds.user_id AND n.was = feeds.slug)
 WHERE EXISTS (SELECT 1 FROM renamed n WHERE n.user_id = feeds.user_id AND n.was = feeds.slug);
UPDATE grants SET slug = (SELECT n.becomes FROM renamed n WHERE n.user_id = grants.owner_id AND n.was = grants.slug)
 WHERE EXISTS (SELECT 1 FROM renamed n WHERE n.user_id = grants.owner_id AND n.was = grants.slug);
-- What a granted calendar is made of belongs to who granted it.
UPDATE calendars SET write_to = (
        SELECT n.becomes FROM renamed n WHERE n.was = calendars.write_to
           AND n.user_id = COALESCE((SELECT g.owner_id FROM grants g WHERE g.id = calendars.grant_id), calendars.user_id))
 WHERE EXISTS (
        SELECT 1 FROM renamed n WHERE n.was = calendars.write_to
           AND n.user_id = COALESCE((SELECT g.owner_id FROM grants g WHERE g.id = calendars.grant_id), calendars.user_id));
UPDATE members SET slug = (
        SELECT n.becomes FROM renamed n, calendars c LEFT JOIN grants g ON g.id = c.grant_id
         WHERE n.was = members.slug AND c.id = members.unified_id AND n.user_id = COALESCE(g.owner_id, c.user_id))
 WHERE EXISTS (
        SELECT 1 FROM renamed n, calendars c LEFT JOIN grants g ON g.id = c.grant_id
         WHERE n.was = members.slug AND c.id = members.unified_id AND n.user_id = COALESCE(g.owner_id, c.user_id));
-- Nothing was at the new path: what is noted of it is left over.
DELETE FROM properties
 WHERE EXISTS (
        SELECT 1 FROM renamed n JOIN users u ON u.id = n.user_id
         WHERE SUBSTR(path, 1, LENGTH('/dav/' || u.name || '/' || n.becomes || '/')) = '/dav/' || u.name || '/' || n.becomes || '/');
UPDATE properties SET path = (
        SELECT '/dav/' || u.name || '/' || n.becomes || SUBSTR(path, LENGTH('/dav/' || u.name || '/' || n.was) + 1)
          FROM renamed n JOIN users u ON u.id = n.user_id
         WHERE SUBSTR(path, 1, LENGTH('/dav/' || u.name || '/' || n.was || '/')) = '/dav/' || u.name || '/' || n.was || '/')
 WHERE EXISTS (
        SELECT 1 FROM renamed n JOIN users u ON u.id = n.user_id
         WHERE SUBSTR(path, 1, LENGTH('/dav/' || u.name || '/' || n.was || '/')) = '/dav/' || u.name || '/' || n.was || '/');
DROP TABLE renamed;
