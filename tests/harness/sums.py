"""Rollups and summaries against sums made here from the rows that independent readers saw."""
import datetime
import json
from collections import Counter, defaultdict

from harness.readers import read_everywhere

HOUR_US = 3_600_000_000
DIMENSIONS = {"rollup_by_path": ["path"], "rollup_by_user_agent": ["user_agent"],
              "rollup_by_status": ["status"], "rollup_by_bot": ["bot", "bot_operator", "bot_category"]}
SUMMARY_NAMES = {"path": ("requestsPerPath", "otherPaths"),
                 "user_agent": ("requestsPerUserAgent", "otherUserAgents"),
                 "status": ("requestsPerStatus", "otherStatuses"),
                 "bot": ("requestsPerBot", "otherBots")}


def assert_sums_are_exact(server, rows):
    """Every rollup and summary of the server's folder is what `rows` of access_logs add up to."""
    for rollup, dimensions in DIMENSIONS.items():
        kept = read_everywhere(server.lake / rollup)
        keys = [(row["hour"], row["site"], *(row[name] for name in dimensions)) for row in kept]
        assert len(keys) == len(set(keys)), f"{rollup}: a key has two rows"
        actual = {key: (row["requests"], row["errors"], row["bytes"])
                  for key, row in zip(keys, kept)}
        assert actual == sums_by(rows, dimensions), rollup
    assert_summaries_are_exact(server.analytics, rows)


def sums_by(rows, dimensions):
    """(hour, site, values...) -> (requests, errors, bytes)"""
    sums = defaultdict(lambda: (0, 0, 0))
    for row in rows:
        key = (row["timestamp"] // HOUR_US * HOUR_US, row["site"], *(row[name] for name in dimensions))
        requests, errors, size_bytes = sums[key]
        sums[key] = (requests + 1, errors + ((row["status"] or 0) >= 500),
                     size_bytes + (row["bytes"] or 0))
    return dict(sums)


def assert_summaries_are_exact(folder, rows):
    rows_of = defaultdict(list)
    for row in rows:
        hour = datetime.datetime.fromtimestamp(row["timestamp"] // 1_000_000, datetime.timezone.utc)
        rows_of[f"{hour:%Y-%m-%d}/summary_{hour:%H}.json"].append(row)
    files = {str(path.relative_to(folder)) for path in folder.glob("*/summary_*.json")}
    assert files == set(rows_of)
    for name, in_hour in rows_of.items():
        assert_summary_is_exact(name, json.loads((folder / name).read_text()), in_hour)


def assert_summary_is_exact(name, summary, rows):
    day, hour = name[:10], name[-7:-5]
    assert summary["hour"] == f"{day}T{hour}:00:00Z"
    assert summary["requests"] == len(rows), name
    assert summary["errors"] == sum((row["status"] or 0) >= 500 for row in rows), name
    assert summary["bytes"] == sum(row["bytes"] or 0 for row in rows), name
    for dimension, (counts, rest) in SUMMARY_NAMES.items():
        fresh = Counter("(none)" if row[dimension] is None else str(row[dimension]) for row in rows)
        listed = summary[counts]
        assert len(listed) == min(len(fresh), 10_000), (name, counts)
        assert all(fresh[value] == requests for value, requests in listed.items()), (name, counts)
        assert sum(listed.values()) + summary[rest] == len(rows), (name, counts)
        # Those that are not listed are no more frequent than those that are.
        unlisted = max((fresh[value] for value in fresh if value not in listed), default=0)
        assert unlisted <= min(listed.values()), (name, counts)
