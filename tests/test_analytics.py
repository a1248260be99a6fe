"""The analytics API: the same numbers as SQL, from rollups where they can say them, and who may ask."""
import csv
import hashlib
import http.client
import io
import json
import os
import socket
import time
from urllib.parse import urlencode

import pytest

from harness.process import Millrace, query, run
from harness.waiting import wait_until

DAY = {"from": "2026-01-02", "to": "2026-01-03"}
AGENTS = {"Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0": "human",
          "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "search",
          "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)": "ai",
          "curl/8.5.0": "other"}


def records():
    """Of two sites and two hours of one day, with a bit of everything."""
    agents = list(AGENTS)
    for number in range(400):
        yield {"timestamp": f"2026-01-02T{3 + number % 2:02}:{number % 60:02}:00Z", "path": f"/page/{number % 7}",
               "site": ("shop.example", "blog.example")[number % 3 == 0], "status": (200, 200, 301, 404, 503)[number % 5],
               "bytes": number, "duration_us": 1000 * (number % 50), "user_agent": agents[number % 4],
               "referrer": ("", "https://example.org/")[number % 2], "method": "GET"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Millrace(tmp_path_factory.mktemp("analytics"), {"writer.flush_idle": "50ms"}).start()
    try:
        assert server.post(list(records())).json["accepted"] == 400
        assert server.post([{"path": "/no-time"}, {"timestamp": "soon", "path": "/late"}]).status == 400
        wait_until("all is summed up", lambda: is_summed_up(server, 400), server.log_tail)
        yield server
        server.stop()
    finally:
        server.kill()


def is_summed_up(server, count):
    tables = {table["name"]: table for table in server.get("/api/v1/freshness").json["tables"]}
    return (len(tables) == 6 and tables["access_logs"]["records"] == count and tables["dead_letters"]["records"] == 2
            and all(table.get("versions_behind", 0) == 0 for table in tables.values()))


def ask(server, topic, **parameters):
    answer = server.get(f"/api/v1/{topic}?{urlencode({**DAY, **parameters}, doseq=True)}")
    assert answer.status == 200, answer.text
    return answer.json


def tables(answer):
    return [source["table"] for source in answer["sources"]]


def sql(server, statement):
    return query(server.data_dir, statement)


KIND = """CASE WHEN bot IS NULL THEN 'human' WHEN bot_category = 'search' THEN 'search'
          WHEN bot_category LIKE 'ai_%' THEN 'ai' ELSE 'other' END"""
SUMS = "count(*) AS requests, count(*) FILTER (status >= 500) AS errors, sum(bytes)::BIGINT AS bytes"


@pytest.mark.parametrize("parameters, table, statement", [
    ({"by": "kind"}, "rollup_by_bot",
     f"SELECT date_trunc('hour', timestamp) AS time, {KIND} AS kind, {SUMS} FROM access_logs GROUP BY 1, 2 ORDER BY 1, 2"),
    ({}, "rollup_by_status",
     f"SELECT date_trunc('hour', timestamp) AS time, {SUMS} FROM access_logs GROUP BY 1 ORDER BY 1"),
    ({"step": "day", "by": "status_class", "site": "shop.example"}, "rollup_by_status",
     f"SELECT date_trunc('day', timestamp) AS time, (status // 100) || 'xx' AS status_class, {SUMS} FROM access_logs "
     "WHERE site = 'shop.example' GROUP BY 1, 2 ORDER BY 1, 2"),
    ({"step": "minute", "filter": ["path=/page/1"]}, "access_logs",
     f"SELECT date_trunc('minute', timestamp) AS time, {SUMS} FROM access_logs WHERE path = '/page/1' GROUP BY 1 ORDER BY 1"),
    ({"filter": ["kind=ai", "status=4xx"]}, "access_logs",
     f"SELECT date_trunc('hour', timestamp) AS time, {SUMS} FROM access_logs WHERE {KIND} = 'ai' AND status // 100 = 4 "
     "GROUP BY 1 ORDER BY 1"),
])
def test_a_time_series_is_what_sql_says(server, parameters, table, statement):
    answer = ask(server, "timeseries", **parameters)
    assert tables(answer) == [table]
    assert answer["rows"] and answer["rows"] == sql(server, statement)


@pytest.mark.parametrize("parameters, table, where", [
    ({"by": "path"}, "rollup_by_path", "true"),
    ({"by": "path", "filter": ["path^=/page/", "path!=/page/3"]}, "rollup_by_path", "path != '/page/3'"),
    ({"by": "path", "order": "bytes", "limit": 3}, "rollup_by_path", "true"),
    ({"by": "user_agent", "filter": ["user_agent*=bot"]}, "rollup_by_user_agent", "user_agent LIKE '%bot%'"),
    ({"by": "status", "filter": ["status!=5xx"]}, "rollup_by_status", "status < 500"),
    ({"by": "referrer"}, "access_logs", "true"),
    ({"by": "path", "filter": ["referrer="]}, "access_logs", "coalesce(referrer, '') = ''"),
    ({"by": "path", "from": "2026-01-02T03:30:00Z"}, "access_logs", "timestamp >= '2026-01-02T03:30:00Z'"),
    ({"by": "bot_operator", "site": "blog.example"}, "rollup_by_bot", "site = 'blog.example'"),
])
def test_top_values_are_what_sql_says(server, parameters, table, where):
    answer = ask(server, "top", **parameters)
    assert tables(answer) == [table]
    order, limit = parameters.get("order", "requests"), parameters.get("limit", 20)
    assert answer["rows"] == sql(server, f"SELECT {parameters['by']} AS value, {SUMS} FROM access_logs WHERE {where} "
                                         f"GROUP BY 1 ORDER BY {order} DESC, value NULLS LAST LIMIT {limit}")


def test_slow_paths_come_with_their_durations(server):
    rows = ask(server, "top", by="path", order="duration")["rows"]
    expected = sql(server, "SELECT path, quantile_cont(duration_us, 0.95) AS p95 FROM access_logs GROUP BY 1 ORDER BY 2 DESC, 1")
    assert [row["value"] for row in rows] == [row["path"] for row in expected]
    assert [row["p95_us"] for row in rows] == [round(row["p95"]) for row in expected]


def test_a_summary_adds_up(server):
    answer = ask(server, "summary")
    assert tables(answer) == ["rollup_by_status", "rollup_by_bot"]
    of = {}
    for row in answer["rows"]:
        of.setdefault(row["dimension"], {})[row["value"]] = row["requests"]
    assert of["all"] == {None: 400}
    assert of["kind"] == {kind: 100 for kind in AGENTS.values()}
    assert of["site"] == {"shop.example": 266, "blog.example": 134}
    assert sum(of["status_class"].values()) == 400 and of["status_class"]["5xx"] == 80


def test_crawlers_and_the_errors_that_they_hit(server):
    names = {row["bot"]: row for row in ask(server, "crawlers")["rows"]}
    assert {name: row["requests"] for name, row in names.items()} == {"Googlebot": 100, "GPTBot": 100, "curl": 100}
    assert names["GPTBot"]["bot_operator"] == "OpenAI"
    answer = ask(server, "errors", filter="kind!=human", limit=1000)
    assert tables(answer) == ["access_logs"]
    assert sum(row["requests"] for row in answer["rows"]) == sql(
        server, "SELECT count(*) AS n FROM access_logs WHERE status >= 400 AND bot IS NOT NULL")[0]["n"]
    assert all(row["crawlers"] for row in answer["rows"])


def test_the_last_records_and_the_last_rejects(server):
    accepted = server.get("/api/v1/recent?limit=5&site=shop.example&filter=status%3D404").json["rows"]
    assert len(accepted) == 5
    assert {(row["site"], row["status"]) for row in accepted} == {("shop.example", 404)}
    rejected = server.get("/api/v1/recent?of=rejected").json["rows"]
    assert sorted(json.loads(row["payload"])["path"] for row in rejected) == ["/late", "/no-time"]
    assert all(row["field"] == "timestamp" and row["reason"] for row in rejected)


def test_csv_has_the_same_rows(server):
    rows = ask(server, "top", by="path")["rows"]
    answer = server.get(f"/api/v1/top?{urlencode({**DAY, 'by': 'path', 'format': 'csv'})}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["x-millrace-sources"].startswith("rollup_by_path@")
    read = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["value"], int(row["requests"])) for row in read] == [(row["value"], row["requests"]) for row in rows]


def test_an_answer_is_the_same_until_the_table_changes(start):
    server = start({"writer.flush_idle": "50ms"})
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/a"})
    path = f"/api/v1/top?{urlencode(DAY)}"

    def count():
        rows = server.get(path).json["rows"]
        return sum(row["requests"] for row in rows)

    wait_until("it is there", lambda: count() == 1, server.log_tail)
    first = server.get(path)
    again = server.get(path, If_None_Match=first.headers["etag"])
    assert again.status == 304 and again.body == b""
    other = server.get(path.replace("top", "summary"), If_None_Match=first.headers["etag"])
    assert other.status == 200
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/a"})
    wait_until("the second is there", lambda: count() == 2, server.log_tail)
    assert server.get(path, If_None_Match=first.headers["etag"]).status == 200


def test_a_lake_without_records_has_answers_without_rows(start):
    server = start()
    for topic in ("timeseries", "top", "crawlers", "errors", "recent"):
        assert server.get(f"/api/v1/{topic}").json["rows"] == []


@pytest.mark.parametrize("path, words", [
    ("top?by=colour", "by: \"colour\" is none of path, user_agent"),
    ("timeseries?by=path", "by: \"path\" is none of status_class, kind, bot_category"),
    ("top?limit=0", "limit: \"0\" is not a number from 1 to 1000"),
    ("top?limit=5&limit=6", "limit: is given twice"),
    ("top?form=csv", "\"form\" is no parameter of this"),
    ("top?from=yesterday", "from: \"yesterday\" is neither a time nor a date"),
    ("top?from=2026-01-03&to=2026-01-02", "from: is not before to"),
    ("timeseries?from=2020-01-01&step=minute", "step: there would be more than 2000 of them"),
    ("top?filter=path", "filter: \"path\" is not a condition"),
    ("top?filter=shoe%3D1", "filter: \"shoe\" is not a field"),
    ("top?filter=status%3Dabc", "filter: \"abc\" is not a status"),
    ("top?filter=path%3D%00", "filter: is not a text in UTF-8"),
    ("top?filter=path%3D%ff", "filter: is not a text in UTF-8"),
    ("recent?of=lost", "of: \"lost\" is none of accepted, rejected"),
])
def test_a_question_that_is_none_is_told_what_is_wrong(server, path, words):
    answer = server.get(f"/api/v1/{path}")
    assert answer.status == 400
    assert answer.json["error"]["message"].startswith(words)


@pytest.mark.parametrize("text", ["'; DROP TABLE access_logs; --", "' OR true --", "\\", "%", "{time}", "''", "\"", "$1", "?"])
def test_values_are_never_taken_for_sql(server, text):
    assert ask(server, "top", by="path", site=text)["rows"] == []
    for field in ("path", "user_agent", "referrer"):
        for comparison in ("=", "^=", "*="):
            if field == "path" or text not in ("?", "%"):
                assert ask(server, "top", by=field, filter=f"{field}{comparison}{text}")["rows"] == []
        different = ask(server, "top", by="status", filter=f"{field}!={text}")["rows"]
        assert sum(row["requests"] for row in different) == 400


def test_too_long_a_question_ends_and_the_next_one_is_answered(start, tmp_path):
    log = tmp_path / "log"
    log.write_text(run("generate", "--records", 200_000, "--begin", "2026-01-02T00:00:00Z").stdout)
    server = start()
    run("send", log, "--to", server.url)
    wait_until("all is there", lambda: server.get("/api/v1/freshness").json["tables"][0]["records"] == 200_000)
    path = f"/api/v1/top?{urlencode({**DAY, 'by': 'client_ip', 'filter': 'user_agent*=o'})}"
    one_by_one = {"query.concurrency": 1, "query.threads": 1}
    hasty = start({**one_by_one, "query.timeout": "1ms"}, data_dir=server.data_dir, role="query")
    for _ in range(3):
        answer = hasty.get(path)
        assert answer.status == 503 and "query.timeout" in answer.json["error"]["message"], answer.text
    assert server.get(path).json["rows"], "there is time enough"


def test_what_nobody_waits_for_any_more_is_not_worked_out(start, tmp_path):
    log = tmp_path / "log"
    log.write_text(run("generate", "--records", 200_000, "--begin", "2026-01-02T00:00:00Z").stdout)
    server = start({"query.concurrency": 1, "query.threads": 1, "query.timeout": "10m"})
    run("send", log, "--to", server.url)
    wait_until("all is there", lambda: server.get("/api/v1/freshness").json["tables"][0]["records"] == 200_000)
    path = f"/api/v1/top?{urlencode({**DAY, 'by': 'client_ip', 'filter': 'user_agent*=o'})}"
    leaving = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
    for connection in leaving:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    staying = http.client.HTTPConnection("127.0.0.1", server.port)
    staying.request("GET", path)
    for connection in leaving:
        connection.close()
    assert staying.getresponse().status == 200, "whoever waits gets an answer"
    counts = {status: server.metric("millrace_query_requests_total", topic="top", status=status) or 0
              for status in ("200", "499", "503")}
    assert counts["499"] > 0 and counts["503"] == 0 and sum(counts.values()) == 61, counts


SITES = ("shop.example", "blog.example", "docs.example")


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A server with a record, a crawler's error and a reject of each of three sites, and with keys for all of them, for two
    and for one."""
    digest = {name: hashlib.sha256(name.encode()).hexdigest() for name in (*SITES, "all", "two", "one")}
    server = Millrace(tmp_path_factory.mktemp("locked"), {
        "writer.flush_idle": "50ms",
        "api_keys": [{"name": site, "sha256": digest[site], "site": site} for site in SITES],
        "query.keys": [{"name": "a", "sha256": digest["all"]}, {"name": "b", "sha256": digest["two"], "sites": list(SITES[:2])},
                       {"name": "c", "sha256": digest["one"], "sites": ["shop.example"]}]}).start()
    try:
        for site in SITES:
            assert server.post([{"timestamp": "2026-01-02T03:04:05Z", "path": f"/{site}", "status": 404, "user_agent": f"Googlebot/{site}",
                                 "duration_us": 5}, {"path": f"/rejected/{site}"}], X_API_Key=site).status == 202
        path = f"/api/v1/summary?{urlencode(DAY)}"
        wait_until("all is there", lambda: server.get(path, X_API_Key="all").json["rows"][0]["requests"] == 3, server.log_tail)
        yield server
        server.stop()
    finally:
        server.kill()


def test_without_a_readers_key_there_is_nothing_to_see(locked):
    for topic in ("summary", "freshness", "recent?of=rejected", "top"):
        assert locked.get(f"/api/v1/{topic}").status == 401
        assert locked.get(f"/api/v1/{topic}", X_API_Key="shop.example").status == 401
    assert locked.get("/api/v1/freshness", Authorization="Bearer one").status == 200


@pytest.mark.parametrize("key, sees_sizes", [("all", True), ("two", False), ("one", False)])
def test_how_much_all_sites_have_is_for_keys_of_all_sites(locked, key, sees_sizes):
    for table in locked.get("/api/v1/freshness", X_API_Key=key).json["tables"]:
        assert table["version"] is not None
        assert {table[name] is not None for name in ("files", "bytes", "records", "newest_record", "newest_file")} == {sees_sizes}


def test_the_page_is_for_everybody(locked):
    assert locked.get("/", Accept="text/html").status == 200, "the page asks for the key"


EVERYWHERE = ["summary", "timeseries", "top?by=path", "top?by=site", "top?by=user_agent", "top?by=path&order=duration", "crawlers",
              "errors", "top?by=path&filter=site!%3Dx", "top?by=site&filter=site^%3Dd", "recent", "recent?of=rejected", "summary?format=csv"]


@pytest.mark.parametrize("key, sites", [("all", 3), ("two", 2), ("one", 1)])
@pytest.mark.parametrize("topic", EVERYWHERE)
def test_a_key_shows_its_sites_and_no_other(locked, topic, key, sites):
    topic += "" if topic.startswith("recent") else f"{'&' if '?' in topic else '?'}{urlencode(DAY)}"
    text = locked.get(f"/api/v1/{topic}", X_API_Key=key).text
    for site in SITES[sites:]:
        assert site not in text
    if "site^" not in topic:
        sums = [row.get("requests", 1) for row in (json.loads(text)["rows"] if "csv" not in topic else [])]
        assert not sums or max(sums) <= sites
    if topic.startswith(("top?by=path&from", "recent")):
        assert all(site in text for site in SITES[:sites])


def test_a_site_that_is_not_the_keys_is_refused(locked):
    for topic in ("summary", "recent", "top"):
        answer = locked.get(f"/api/v1/{topic}?site=docs.example", X_API_Key="two")
        assert answer.status == 403 and "shop.example, blog.example" in answer.text
        assert locked.get(f"/api/v1/{topic}?site=blog.example", X_API_Key="two").status == 200


def test_senders_with_keys_mean_that_not_everybody_reads(start):
    server = start({"api_keys": [{"name": "s", "sha256": "0" * 64, "site": "shop.example"}]})
    answer = server.get("/api/v1/summary")
    assert answer.status == 403 and "query.keys" in answer.text


def test_pages_of_other_hosts_do_not_read(server):
    path = "/api/v1/summary"
    assert server.get(path, Origin="https://evil.example").status == 403
    assert server.get(path, Sec_Fetch_Site="cross-site").status == 403
    assert server.get(path, Origin=server.url, Sec_Fetch_Site="same-origin").status == 200


@pytest.mark.parametrize("host, status", [("localhost", 200), ("LOCALHOST:1", 403), ("127.0.0.1:8080", 200), ("[::1]:8080", 200),
                                          ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example", 403)])
def test_a_name_that_was_made_to_point_here_does_not_read(server, host, status):
    """DNS rebinding: the page's own host, as far as the browser can tell."""
    assert server.get("/api/v1/summary", Host=host, Origin=f"http://{host}").status == status


def test_what_is_asked_of_a_sum_that_is_far_behind_is_answered_from_the_records(start):
    server = start({"writer.flush_idle": "50ms"})
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/a"})
    path = f"/api/v1/top?{urlencode(DAY)}"
    wait_until("it is summed up", lambda: tables(server.get(path).json) == ["rollup_by_path"] and server.get(path).json["rows"])
    server.stop()
    server.configure({"writer.flush_idle": "50ms", "aggregate.enabled": False})
    server.start()
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/a"})
    wait_until("the sum is behind", lambda: server.get(path).json["sources"][0].get("versions_behind"))
    etag = server.get(path).headers["etag"]
    # As if it had been so for long. Merging makes files new, and no sums.
    for entry in (server.data_dir / "lake/access_logs/_delta_log").glob("*.json"):
        os.utime(entry, (time.time() - 3_600,) * 2)
    server.stop()
    server.configure({"writer.flush_idle": "50ms", "aggregate.enabled": False, "maintain.interval": "1s", "maintain.files_min": 2})
    server.start()
    wait_until("they are merged", lambda: server.metric("millrace_maintenance_files_merged_total"), server.log_tail)
    answer = server.get(path, If_None_Match=etag)
    assert tables(answer.json) == ["access_logs"] and answer.json["rows"][0]["requests"] == 2
    states = {table["name"]: table for table in server.get("/api/v1/freshness").json["tables"]}
    assert states["rollup_by_path"]["seconds_behind"] > 3000


def test_where_the_tables_are_is_for_the_log_and_not_for_readers(start):
    server = start({"writer.flush_idle": "50ms", "aggregate.enabled": False, "query.keys": [
        {"name": "r", "sha256": hashlib.sha256(b"read").hexdigest()}]})
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/a"})
    path = f"/api/v1/top?{urlencode(DAY)}"
    wait_until("the record is there", lambda: server.get(path, X_API_Key="read").json["rows"])
    for file in (server.data_dir / "lake/access_logs").rglob("*.parquet"):
        file.unlink()
    answer = server.get(f"/api/v1/top?{urlencode({**DAY, 'by': 'referrer'})}", X_API_Key="read")
    assert answer.status == 503 and answer.headers["retry-after"]
    assert "the server's log says why" in answer.text and "parquet" not in answer.text and "access_logs" not in answer.text
    assert "access_logs" in server.log_tail()


def test_sums_that_were_never_made_are_behind(start):
    server = start({"writer.flush_idle": "50ms", "aggregate.enabled": False})
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/a"})
    wait_until("the record is there", lambda: any(
        table["records"] for table in server.get("/api/v1/freshness").json["tables"]))
    states = {table["name"]: table for table in server.get("/api/v1/freshness").json["tables"]}
    assert states["rollup_by_path"]["version"] is None and states["rollup_by_path"]["versions_behind"] > 0
    wait_until("its gauge says so", lambda: (server.metric("millrace_query_rollup_lag_seconds", table="rollup_by_path") or 0) > 0)


def test_the_last_records_of_a_small_site_are_found_behind_those_of_a_busy_one(start):
    sites = ("a.example", "small.example", "z.example")
    digest = {name: hashlib.sha256(name.encode()).hexdigest() for name in (*sites, "read")}
    server = start({"writer.flush_idle": "50ms", "api_keys": [{"name": site, "sha256": digest[site], "site": site} for site in sites],
                    "query.keys": [{"name": "r", "sha256": digest["read"], "sites": ["small.example", "zzz.example"]}]})
    good, bad = {"timestamp": "2026-01-02T03:04:05Z", "path": "/"}, {"path": "/bad"}
    assert server.post([good, bad], X_API_Key="small.example").status == 202
    for site in ("a.example", "z.example") * 6:
        assert server.post([good, bad] * 1_000, X_API_Key=site).status == 202
    wait_until("all is there", lambda: server.metric("millrace_writer_records_total") == 12_001 and
               server.metric("millrace_writer_dead_letters_total") == 12_001)
    for of in ("accepted", "rejected"):
        wait_until(f"the {of} one is found", lambda: [row["site"] for row in server.get(
            f"/api/v1/recent?of={of}", X_API_Key="read").json["rows"]] == ["small.example"])


def test_the_parts_of_a_summary_add_up(start):
    server = start({"writer.flush_idle": "50ms"})
    server.post([{"timestamp": "2026-01-02T03:04:05Z", "path": "/a", "status": status} for status in (200, 500, 503)])
    path = f"/api/v1/summary?{urlencode({**DAY, 'filter': 'status_class=5xx'})}"
    wait_until("it is summed up", lambda: server.get("/api/v1/freshness").json["tables"][-1].get("versions_behind") == 0)
    answer = server.get(path).json
    assert tables(answer) == ["access_logs"]
    sums = {(row["dimension"], row["value"]): row["requests"] for row in answer["rows"]}
    assert sums[("all", None)] == sums[("kind", "human")] == 2


def test_a_question_under_way_is_answered_when_the_process_stops(start, tmp_path):
    log = tmp_path / "log"
    log.write_text(run("generate", "--records", 200_000, "--begin", "2026-01-02T00:00:00Z").stdout)
    server = start({"query.concurrency": 1, "query.threads": 1})
    run("send", log, "--to", server.url)
    wait_until("all is there", lambda: server.get("/api/v1/freshness").json["tables"][0]["records"] == 200_000)
    connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(4)]
    for connection in connections:
        connection.request("GET", f"/api/v1/top?{urlencode({**DAY, 'by': 'client_ip', 'filter': 'user_agent*=o'})}")
    answers = [connections[0].getresponse()]
    server.stop()
    answers += [connection.getresponse() for connection in connections[1:]]
    for answer in answers:
        assert answer.status == 200 and json.loads(answer.read())["rows"]


def test_it_runs_on_its_own(start, server):
    alone = start(data_dir=server.data_dir, role="query")
    answer = alone.get(f"/api/v1/summary?{urlencode(DAY)}")
    assert answer.json["rows"][0]["requests"] == 400
    assert alone.get("/readyz").status == 200 and alone.get("/healthz").status == 200
    assert b"<title>Millrace</title>" in alone.get("/").body
    assert alone.request("POST", "/logs", b"[]").status == 404
    wait_until("the lag is exported", lambda: alone.metric("millrace_query_rollup_lag_versions") == 0)
    newest = alone.metric("millrace_query_table_newest_record_timestamp_seconds", table="access_logs")
    assert newest > 1.7e9
    assert alone.metric("millrace_query_requests_total", topic="summary", status="200") == 1
