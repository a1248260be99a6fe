"""What does not show at full load: start, idle connections, latency at half of capacity, overload, and history."""
import resource
import shutil
import signal
import socket
import statistics
import time

import measure
import traffic
from harness.http import request_text
from harness.process import BINARY, Millrace, query, run

ONE_CORE = {"http.threads": 1}  # As a server that has one would be set.
WITHOUT_WORKERS = {"aggregate.enabled": False, "maintain.enabled": False}
MILLION = 1_000_000


def start(bench):
    """From the start of the process until it says that it is ready, over an empty folder."""
    with bench.broker("start") as broker:
        for role, settings in (("serve", {}), ("ingest", broker.settings()), ("write", broker.settings())):
            values = []
            for number in range(max(5, bench.repeats)):
                server = Millrace(bench.folder / f"start-{role}-{number}", settings, role=role)
                try:
                    values.append(1e3 * _seconds_until_ready(server))
                finally:
                    server.kill()
            bench.report.add(f"start of `{role}` until it is ready", "ms", values, 300)


def _seconds_until_ready(server):
    begin = time.monotonic()
    server.spawn()
    while not server.is_ready():
        assert server.is_running() and time.monotonic() - begin < 60, server.log_tail()
        time.sleep(0.002)
    return time.monotonic() - begin


def idle(bench, connections=10_000):
    """Connections that have sent a request each and then keep still."""
    wanted = connections + 1_000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"want {wanted} open files (ulimit -Hn)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    request = request_text("POST", "/logs", ["Content-Type: application/json"],
                           traffic.bodies(1, 1)[0])
    with bench.broker("idle") as broker:
        server = Millrace(bench.folder / "idle", {**broker.settings(), **ONE_CORE, "http.idle_timeout": "1h"},
                          role="ingest")
        server.start()
        opened = []
        try:
            before = measure.memory_mib(server.process.pid)
            for _ in range(connections):
                opened.append(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            for connection in opened:
                connection.sendall(request)
                assert connection.recv(4096).startswith(b"HTTP/1.1 202"), "a connection was refused"
            measure.wait_until_quiet(server.process.pid)
            after = measure.memory_mib(server.process.pid)
        finally:
            for connection in opened:
                connection.close()
            server.kill()
    bench.report.add("memory of `ingest` before", "MiB", [before])
    bench.report.add("memory of `ingest` with 10,000 idle connections", "MiB", [after], 100)


def connections(bench):
    """Batches of 100 from ever more clients at once."""
    for count in (32, 256, 1024):
        values = []
        for number in range(bench.repeats):
            server = Millrace(bench.folder / f"connections-{count}-{number}", {**ONE_CORE, **WITHOUT_WORKERS})
            server.start()
            try:
                pid, threads = server.process.pid, ("http-", "journal")
                measure.pin(pid)
                requests, bad, _ = measure.wrk(server.url, bench.bodies[100], bench.seconds, count)
                assert bad == 0
                values.append(measure.cpu_seconds(pid, threads) * MILLION / (100 * requests))
            finally:
                server.kill()
                shutil.rmtree(server.folder)
        bench.report.add(f"HTTP to the embedded journal, 100, {count} connections", "CPU s per million records",
                         values)


def partitions(bench):
    """The same records in ever more partitions of the topic."""
    log = bench.folder / "partitions.ndjson"
    with open(log, "w") as file:
        file.writelines(line + "\n" for line in traffic.records(MILLION))
    for count in (6, 48):
        with bench.broker(f"partitions-{count}") as broker:
            broker.add_partitions(count)
            ingest = Millrace(bench.folder / f"partitions-{count}", broker.settings(), role="ingest").start()
            try:
                run("send", "--quiet", "--to", ingest.url, log)
            finally:
                ingest.stop()
            values, memory = bench.write(broker, bench.folder / f"partitions-{count}-data", MILLION)
        bench.report.add(f"Kafka to the table, {count} partitions", "CPU s per million records", values)
        bench.report.add(f"Kafka to the table, {count} partitions: memory at its peak", "MiB", memory)


def latency(bench):
    """Batches of 100 at half of what the server takes at the most."""
    _latency(bench, "the journal", "serve", {})
    with bench.broker("latency") as broker:
        _latency(bench, "Kafka", "ingest", broker.settings())


def _latency(bench, name, role, settings):
    bodies = bench.bodies[100]
    latencies, commits, shares = [], [], []
    for number in range(bench.repeats):
        server = Millrace(bench.folder / f"latency-{role}-{number}", {**settings, **ONE_CORE}, role=role)
        server.start()
        try:
            measure.pin(server.process.pid)
            # What it can take is what it can take and write: one core does both in `serve`.
            begin = time.monotonic()
            requests, _, _ = measure.wrk(server.url, bodies, bench.seconds)
            quiet_seconds = measure.wait_until_quiet(server.process.pid)
            full = requests / (time.monotonic() - begin - quiet_seconds)
            before = _commits(server)
            pause_seconds = measure.CONNECTIONS / (full / 2)
            requests, bad, latency = measure.wrk(server.url, bodies, bench.seconds, pause_seconds=pause_seconds)
            assert bad == 0
            after = _commits(server)
            shares.append(100 * requests / bench.seconds / full)
            assert 35 < shares[-1] < 65, "that is no half load"
            latencies.append(1e3 * latency)
            commits.append(1e3 * (after[0] - before[0]) / (after[1] - before[1]))
        finally:
            server.kill()
            shutil.rmtree(server.folder)
    bench.report.add(f"half load, {name}: part of full load", "%", shares)
    what = "one sync" if role == "serve" else "one entry's way to the broker and back, with its linger"
    bench.report.add(f"half load, {name}: {what}, on average", "ms", commits)
    bench.report.add(f"half load, {name}: 99 % of answers within", "ms", latencies,
                     5 + statistics.median(commits))


def _commits(server):
    name = "millrace_journal_commit_duration_seconds"
    return server.metric(f"{name}_sum") or 0, server.metric(f"{name}_count") or 0


def overload(bench):
    """Far more than the server can take: 512 connections that send as fast as they can. With Kafka the broker stops
    for ten seconds of every other minute, and the embedded journal is small, so that it is full at times. Memory must
    not grow, and what the embedded journal accepted must arrive; the broker keeps only the newest of it."""
    _overload(bench, "the journal", "serve", {"journal.size_max": "256MiB", "maintain.enabled": False})
    with bench.broker("overload", "log.retention.bytes=268435456\nlog.segment.bytes=67108864\n"
                      "log.retention.check.interval.ms=2000\nlog.segment.delete.delay.ms=1000\n") as broker:
        _overload(bench, "Kafka", "ingest", broker.settings(), broker)


def _overload(bench, name, role, settings, broker=None):
    server = Millrace(bench.folder / f"overload-{role}", {**settings, **ONE_CORE}, role=role)
    server.start()
    try:
        pid = server.process.pid
        measure.pin(pid)
        parts, refused, answered = max(2, bench.overload_seconds // 60), 0, 0
        memory = []
        for part in range(parts):
            load = measure.start_wrk(server.url, bench.bodies[1000], bench.overload_seconds // parts, 512)
            begin, peak, is_stopped = time.monotonic(), 0, False
            while load.poll() is None:
                peak = max(peak, measure.memory_mib(pid))
                time.sleep(0.2)
                stops = broker and part % 2 == 0 and 5 < time.monotonic() - begin < 15
                if stops != is_stopped and broker:
                    broker.signal(signal.SIGSTOP if stops else signal.SIGCONT)
                    is_stopped = stops
            if is_stopped:
                broker.signal(signal.SIGCONT)
            memory.append(peak)
            requests, bad, _ = measure.wrk_result(load)
            answered += requests
            refused += bad
        assert server.is_running(), server.log_tail()
        measure.wait_until_quiet(pid)
        accepted = server.metric("millrace_ingest_records_accepted_total")
        if role == "serve":
            bench.wait_until_written(server, accepted)
        statuses = {status: server.metric("millrace_ingest_requests_total", status=str(status)) or 0
                    for status in (202, 429, 503)}
        assert sum(statuses.values()) == server.metric("millrace_ingest_requests_total"), server.metrics_text()
        first_half = memory[:len(memory) // 2]
        assert memory[-1] < 1.25 * max(first_half), f"memory grows: {memory} MiB"
        print(f"overload, {name}: {statuses}, memory by the minute: {memory}", flush=True)
    finally:
        server.kill()
        shutil.rmtree(server.folder)
    bench.report.add(f"overload, {name}: refused with 429 or 503", "% of requests", [100 * refused / answered])
    bench.report.add(f"overload, {name}: memory in the first minute", "MiB", memory[:1])
    bench.report.add(f"overload, {name}: memory in the last minute", "MiB", memory[-1:])


def history(bench):
    """The same million of new records beside ever more that are stored and summed up."""
    new = [bench.folder / f"new-{day}.ndjson" for day in (1, 2, 3)]
    for day, path in enumerate(new, 1):
        with open(path, "w") as file:
            file.writelines(line + "\n" for line in traffic.records(MILLION, seed=day, day=day))
    for millions in bench.history:
        _history(bench, millions, new)


def _history(bench, millions, new):
    name = f"{millions} million stored"
    folder = bench.folder / f"history-{millions}"
    server = Millrace(folder, WITHOUT_WORKERS).start()
    data = server.data_dir
    try:
        stored = 0
        while stored < millions * MILLION:
            measure.wrk(server.url, bench.bodies[1000], 2 if millions < 10 else 10)
            measure.wait_until_quiet(server.process.pid)  # It ends in the middle of requests.
            stored = server.metric("millrace_ingest_records_accepted_total")
            bench.wait_until_written(server, stored)
    finally:
        server.stop()
    cpu, _, _ = bench.cpu_of([BINARY, "aggregate", "--once", "--data", data])
    bench.report.add(f"{name}: rollups of all of it", "CPU s per million records", [cpu * MILLION / stored])
    sums = []
    for path in new:
        server.start()
        run("send", "--quiet", "--to", server.url, path)
        bench.wait_until_written(server, MILLION)
        server.stop()
        sums.append(bench.cpu_of([BINARY, "aggregate", "--once", "--data", data])[0])
    bench.report.add(f"{name}: rollups of one more million", "CPU s", sums)
    stored += len(new) * MILLION
    for sql in ("SELECT count(*) AS n FROM access_logs", "SELECT sum(requests) AS n FROM rollup_by_path"):
        assert int(query(data, sql)[0]["n"]) == stored, sql
    runs = range(max(3, bench.repeats))
    bench.report.add(f"{name}: a run of the aggregation that finds nothing new", "CPU s", [
        bench.cpu_of([BINARY, "aggregate", "--once", "--data", data])[0] for _ in runs])
    starts = []
    for _ in runs:
        starts.append(1e3 * _seconds_until_ready(server))
        server.stop()
    bench.report.add(f"{name}: start of `serve` until it is ready", "ms", starts)
    sql = "SELECT count(*) AS n FROM access_logs WHERE timestamp >= '2026-02-04'"
    bench.report.add(f"{name}: query of the newest day's count", "s", [
        bench.cpu_of([BINARY, "query", "--data", data, sql])[1] for _ in runs])
    shutil.rmtree(folder)
