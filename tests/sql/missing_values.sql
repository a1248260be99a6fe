SELECT path, user_agent, status, bytes, duration_us, attributes FROM access_logs
WHERE user_agent IS NULL ORDER BY timestamp, path
