"""What DuckDB by itself needs for sums like those of the built-in rollups: one GROUP BY each over the table's files.

Usage: duckdb_sums.py TABLE
"""
import sys

import duckdb
from deltalake import DeltaTable

KEYS = ("path", "user_agent", "status")

files = DeltaTable(sys.argv[1]).file_uris()
connection = duckdb.connect(config={"threads": 1})
for key in KEYS:
    connection.execute(
        f"CREATE TABLE by_{key} AS SELECT date_trunc('hour', timestamp) AS hour, site, {key}, "
        "count(*) AS requests, sum(bytes) AS bytes, count(*) FILTER (status >= 400) AS errors "
        "FROM read_parquet($files) GROUP BY ALL", {"files": files})
