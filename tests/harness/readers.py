"""Readers of Delta tables that are not ours, and that must all see the same rows."""
import datetime
from collections import Counter
from pathlib import Path

import deltalake
import duckdb
import polars
import pyarrow
import pyarrow.compute as compute
import pyarrow.parquet as parquet

from harness.delta_log import DeltaLog


def read_everywhere(table_dir):
    """The rows of a table as dictionaries, in no order: a multiset that four readers agree on.

    Times are microseconds since 1970, dates are `datetime.date`, maps are dictionaries.
    """
    columns = [name for name, _, _ in DeltaLog(table_dir).schema()]
    rows_of = {
        "deltalake": _rows(_by_deltalake(table_dir), columns),
        "polars": _rows(_by_polars(table_dir), columns),
        "duckdb": _rows(_by_duckdb(table_dir), columns),
        "pyarrow": _rows(_by_pyarrow(table_dir), columns),
    }
    expected = Counter(rows_of["deltalake"])
    for reader, rows in rows_of.items():
        actual = Counter(rows)
        assert actual == expected, (
            f"{table_dir}: {reader} and deltalake differ ({len(rows)} rows, "
            f"{len(rows_of['deltalake'])} rows): only in {reader} {_some(actual - expected)}, "
            f"only in deltalake {_some(expected - actual)}")
    return [{name: dict(value) if isinstance(value, tuple) else value
             for name, value in zip(columns, row)} for row in rows_of["deltalake"]]


def _some(counter):
    return list(counter.items())[:3]


def _by_deltalake(table_dir):
    return deltalake.DeltaTable(str(table_dir)).to_pyarrow_table()


def _by_polars(table_dir):
    return polars.scan_delta(str(table_dir)).collect().to_arrow()


def _by_duckdb(table_dir):
    """DuckDB does not know the table: it is given the files that the log names, and their dates."""
    log = DeltaLog(table_dir)
    if not log.adds:
        return _by_pyarrow(table_dir)
    partitions = list(log.metadata["partitionColumns"])
    parts = []
    for path, values in log.live_files():
        literals = "".join(f", CAST('{values[name]}' AS DATE) AS \"{name}\"" for name in partitions)
        parts.append(f"SELECT *{literals} FROM read_parquet('{path}', hive_partitioning=false)")
    with duckdb.connect() as connection:
        tables = [connection.sql(part).to_arrow_table() for part in parts]
    return pyarrow.concat_tables(tables, promote_options="permissive")


def _by_pyarrow(table_dir):
    log = DeltaLog(table_dir)
    tables = []
    for path, values in log.live_files():
        table = parquet.ParquetFile(path).read()
        for name in log.metadata["partitionColumns"]:
            value = datetime.date.fromisoformat(values[name])
            table = table.append_column(name, pyarrow.array([value] * len(table), pyarrow.date32()))
        tables.append(table)
    if not tables:
        return pyarrow.table({name: pyarrow.array([], pyarrow.null())
                              for name, _, _ in log.schema()})
    return pyarrow.concat_tables(tables, promote_options="permissive")


def _rows(table, columns):
    return list(zip(*(_values(table.column(name)) for name in columns))) if len(table) else []


def _values(column):
    kind = column.type
    if pyarrow.types.is_timestamp(kind):
        column = compute.cast(compute.cast(column, pyarrow.timestamp("us", kind.tz)),
                              pyarrow.int64())
    if _is_map(kind):
        return [None if value is None else _pairs(value) for value in column.to_pylist()]
    return column.to_pylist()


def _is_map(kind):
    # Polars has no maps: it reads one as a list of structs.
    return pyarrow.types.is_map(kind) or pyarrow.types.is_large_list(kind) or (
        pyarrow.types.is_list(kind))


def _pairs(value):
    pairs = [(item["key"], item["value"]) if isinstance(item, dict) else item for item in value]
    assert len(dict(pairs)) == len(pairs), f"a key twice in {pairs}"
    return tuple(sorted(pairs))


def files_on_disk(table_dir):
    """Every data file, whether the log names it or not."""
    return sorted(Path(table_dir).glob("**/*.parquet"))
