SELECT date_trunc('hour', timestamp) AS hour, status // 100 AS class, count(*) AS requests
FROM access_logs GROUP BY ALL ORDER BY ALL
