-- A listing goes on by id, which a row keeps when it gets another name.
DROP INDEX resources_listed;
CREATE INDEX resources_listed ON resources (calendar_id, live, id, name, etag, kind, size, changed_at);
