SELECT hour, site, path, requests, errors, bytes, date FROM rollup_by_path ORDER BY ALL
