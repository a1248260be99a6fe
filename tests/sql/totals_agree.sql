SELECT (SELECT count(*) FROM access_logs) AS rows,
       (SELECT sum(requests) FROM rollup_by_path) AS by_path,
       (SELECT sum(requests) FROM rollup_by_status) AS by_status,
       (SELECT sum(requests) FROM rollup_by_user_agent) AS by_user_agent,
       (SELECT sum(requests) FROM rollup_by_bot) AS by_bot
