SELECT batch_id, count(*) AS records FROM access_logs GROUP BY batch_id ORDER BY batch_id NULLS LAST
