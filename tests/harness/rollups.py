"""Rollups against a fresh GROUP BY."""
from harness.process import query

ROLLUPS = {"rollup_by_path": "path", "rollup_by_user_agent": "user_agent",
           "rollup_by_status": "status", "rollup_by_bot": "bot, bot_operator, bot_category"}


def differences(data_dir):
    """Rows in which a rollup and the table's own sums differ; empty: none."""
    found = []
    for rollup, dimensions in ROLLUPS.items():
        columns = f"hour, site, {dimensions}, requests, errors, bytes, date"
        fresh = (f"SELECT date_trunc('hour', timestamp) AS hour, site, {dimensions}, "
                 "count(*) AS requests, count(*) FILTER (status >= 500) AS errors, "
                 "coalesce(sum(bytes), 0)::BIGINT AS bytes, date FROM access_logs "
                 f"GROUP BY ALL")
        kept = f"SELECT {columns} FROM {rollup}"
        found += query(data_dir, f"({kept} EXCEPT ALL {fresh}) UNION ALL ({fresh} EXCEPT ALL {kept}) "
                                 "LIMIT 5")
    return found
