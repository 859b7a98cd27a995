-- How many octets the live resources of a local calendar or a mirror have, kept with their number.
ALTER TABLE calendars ADD COLUMN octets INTEGER NOT NULL DEFAULT 0;
UPDATE calendars SET octets = CAST(COALESCE((
    SELECT SUM(r.size) FROM resources r WHERE r.calendar_id = calendars.id AND r.live = 1
), 0) AS BIGINT) WHERE source <> 'unified';
