-- Where a moved resource goes is a reference, so that it ends when that row does: no other row is ever taken for it, and
-- `moved` without it says that the text has nowhere to arrive and is given back.
DROP INDEX resources_moved;
ALTER TABLE resources ADD COLUMN arrival_id INTEGER REFERENCES resources (id) ON DELETE SET NULL;
UPDATE resources SET arrival_id = moved_to WHERE EXISTS (SELECT 1 FROM resources t WHERE t.id = resources.moved_to);
ALTER TABLE resources DROP COLUMN moved_to;
CREATE INDEX resources_arrival ON resources (arrival_id) WHERE arrival_id IS NOT NULL;
CREATE INDEX resources_bereft ON resources (id) WHERE moved IS NOT NULL AND arrival_id IS NULL;
