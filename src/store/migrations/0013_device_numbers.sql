-- Logins are remembered with the number of their app password, and it is by that number that it is revoked.
INSERT INTO numbers SELECT 'app_passwords', COALESCE(MAX(id), 0) FROM app_passwords;
