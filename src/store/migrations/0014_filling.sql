-- Unified calendars, granted ones too, are brought to what they are made of in short transactions. What the rows are on
-- the way to be made of (NULL: they are made of `shape`), and how far that has come: the calendar whose rows are gone
-- through (0: those of the unified one itself), and the last of these.
ALTER TABLE calendars ADD COLUMN filling TEXT;
ALTER TABLE calendars ADD COLUMN filling_calendar INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calendars ADD COLUMN filling_row INTEGER NOT NULL DEFAULT 0;
-- Nobody sees it before it is there: it is new, or shows more than it may by now.
ALTER TABLE calendars ADD COLUMN veiled INTEGER NOT NULL DEFAULT 0;
