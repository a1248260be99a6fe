SELECT path, query, user_agent, length(path) AS characters FROM access_logs
WHERE host = 'texts.example' ORDER BY timestamp
