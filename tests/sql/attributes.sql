SELECT path, attributes['cache'] AS cache, attributes['nested'] AS nested FROM access_logs
WHERE attributes IS NOT NULL ORDER BY path
