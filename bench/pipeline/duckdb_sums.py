"""What DuckDB by itself needs for sums like those of the built-in rollups: one GROUP BY each over the table's files.

Usage: duckdb_sums.py TABLE
"""
import sys

import duckdb
from deltalake import DeltaTable

KEYS = ("path", "user_agent", "status", "bot, bot_operator, bot_category")

# By arithmetic, as Millrace does it: date_trunc() takes three times as long.
HOUR = "make_timestamptz(epoch_us(timestamp) // 3600000000 * 3600000000)"

files = DeltaTable(sys.argv[1]).file_uris()
connection = duckdb.connect(config={"threads": 1})
for number, key in enumerate(KEYS):
    connection.execute(
        f"CREATE TABLE sums_{number} AS SELECT {HOUR} AS hour, site, {key}, "
        "count(*) AS requests, sum(bytes) AS bytes, count(*) FILTER (status >= 400) AS errors "
        "FROM read_parquet($files) GROUP BY ALL", {"files": files})
