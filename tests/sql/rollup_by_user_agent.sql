SELECT hour, site, user_agent, requests, errors, bytes FROM rollup_by_user_agent ORDER BY ALL
