-- What is moved to another calendar waits until it has arrived there: only then its removal is sent upstream.
ALTER TABLE resources ADD COLUMN moved TEXT;                -- the text to give back should it be refused there
ALTER TABLE resources ADD COLUMN moved_to INTEGER;          -- the row that it went to
ALTER TABLE resources ADD COLUMN moved_back INTEGER NOT NULL DEFAULT 0; -- it was refused there
CREATE INDEX resources_moved ON resources (moved_to) WHERE moved_to IS NOT NULL;

-- How many live resources a calendar has, unified ones aside: a limit that costs no counting.
ALTER TABLE calendars ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
UPDATE calendars SET held = (SELECT COUNT(*) FROM resources r WHERE r.calendar_id = calendars.id AND r.live = 1);

-- What a resource leaves behind is found by its path.
CREATE INDEX properties_at ON properties (path);
