SELECT path, count(*) AS requests, sum(bytes) AS bytes
FROM access_logs GROUP BY path ORDER BY requests DESC, path LIMIT 3
