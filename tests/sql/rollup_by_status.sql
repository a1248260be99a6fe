SELECT hour, site, status, requests, errors, bytes FROM rollup_by_status ORDER BY ALL
