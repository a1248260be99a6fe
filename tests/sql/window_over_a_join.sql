SELECT a.path, a.status, r.requests, row_number() OVER (PARTITION BY a.path ORDER BY a.timestamp, a.status) AS nth
FROM access_logs a
JOIN rollup_by_path r ON r.path = a.path AND r.site = a.site AND r.hour = date_trunc('hour', a.timestamp)
WHERE a.path = '/a' ORDER BY a.timestamp, a.status
