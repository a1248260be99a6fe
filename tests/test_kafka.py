"""The three workloads with a real Kafka broker between them."""
import json
import os
import random
import signal
import subprocess
import threading

import pytest
from confluent_kafka import Producer
from deltalake import DeltaTable

from harness.kafka import Broker
from harness.load import LoadClient, assert_each_once, assert_rejects_are_kept
from harness.process import Millrace, query, run
from harness.readers import read_everywhere
from harness.rollups import differences
from harness.waiting import wait_until

AT = "2026-01-02T03:04:05Z"


@pytest.fixture
def cluster(broker, tmp_path):
    """Starts workloads over one lake and one topic of their own."""
    broker.topic = f"test-{os.getpid()}-{tmp_path.name}"
    broker.up()
    processes = []

    def starter(role, settings=None, crash_point=None):
        process = Millrace(tmp_path / f"{role}{len(processes)}",
                           {**broker.settings(), "writer.flush_age": "200ms",
                            "journal.kafka.session_timeout": "6s",
                            "journal.kafka.delivery_timeout": "3s", **(settings or {})},
                           data_dir=tmp_path / "data", role=role)
        processes.append(process)
        return process.start(crash_point)

    yield starter
    for process in processes:
        process.kill()


def count(process):
    """The records in the table, by delta-rs."""
    return DeltaTable(process.access_logs).to_pyarrow_table(columns=["path"]).num_rows


def test_generated_traffic_goes_through_all_three(cluster, tmp_path):
    ingest, write = cluster("ingest"), cluster("write")
    aggregate = cluster("aggregate")
    log = tmp_path / "access.log"
    log.write_text(run("generate", "--records", 20000, "--seed", 5).stdout)
    sent = run("send", log, "--to", ingest.url).stdout
    assert "20,000 accepted, 0 rejected" in sent
    wait_until("the table has them", lambda: write.metric("millrace_writer_records_total") == 20000,
               write.log_tail)
    wait_until("the rollups have them", lambda: not differences(write.data_dir),
               aggregate.log_tail)
    for process in (ingest, write, aggregate):
        process.stop()
    assert len(read_everywhere(write.access_logs)) == 20000
    assert not differences(write.data_dir)
    (total,) = query(write.data_dir, "SELECT sum(requests) AS n FROM rollup_by_path")
    assert int(total["n"]) == 20000


def test_every_acknowledged_record_is_there_once_after_kills(cluster, pytestconfig):
    choose = random.Random(pytestconfig.getoption("--seed"))
    ingest = [cluster("ingest"), cluster("ingest")]
    write = [cluster("write"), cluster("write")]

    def url():
        return choose.choice(ingest).url

    with LoadClient(url) as client:
        for _ in range(8):
            # At any instant, also while the group rebalances: the one wait here that is random.
            threading.Event().wait(choose.uniform(0.2, 1.5))
            victim = choose.choice(ingest + write)
            if choose.random() < 0.5:
                victim.kill()
            else:
                victim.stop()
            victim.start()
    # A writer without partitions has no lag: only the table tells.
    wait_until("all is in the table",
               lambda: count(write[0]) >= len(client.acknowledged), write[0].log_tail)
    for process in ingest + write:
        process.stop()
    rows = read_everywhere(write[0].access_logs)
    print(f"{len(client.acknowledged)} acknowledged, {len(client.refused)} refused, "
          f"{len(client.unknown)} unknown, {len(rows)} in the table")
    assert len(client.acknowledged) > 100
    assert_each_once(rows, client)
    assert_rejects_are_kept(read_everywhere(write[0].dead_letters), client)


def test_a_paused_writer_that_lost_its_partitions_writes_nothing_twice(cluster):
    ingest = cluster("ingest")
    # It holds what it reads, and is then away for longer than the group waits.
    zombie = cluster("write", {"writer.flush_age": "1h", "writer.flush_idle": "0s"})
    for number in range(20):
        assert ingest.post([{"ts": AT, "path": f"/{number}"}]).status == 202
    wait_until("it has read all", lambda: zombie.metric("millrace_writer_entries_total") == 20,
               zombie.log_tail)
    zombie.signal(signal.SIGSTOP)
    heir = cluster("write")
    wait_until("another one has written all",
               lambda: heir.metric("millrace_writer_records_total") == 20, heir.log_tail)
    zombie.signal(signal.SIGCONT)
    zombie.stop()
    heir.stop()
    rows = read_everywhere(heir.access_logs)
    assert sorted(row["path"] for row in rows) == sorted(f"/{number}" for number in range(20))


def test_a_writer_that_is_paused_in_its_assignment_passes_over_nothing(broker, cluster):
    """Between the starts of two partitions, for so long that its group and its questions give up."""
    ingest = cluster("ingest")
    with LoadClient(lambda: ingest.url, pause_seconds=0.02) as client:
        write = cluster("write", crash_point="journal.before_start_is_known:3:pause")
        wait_until("it is paused", write.is_paused)
        broker.down()
        # The one thing that must last here is how long it is away.
        threading.Event().wait(9)
        broker.up()
        wait_until("batches are taken again", ingest.is_ready, ingest.log_tail)
        write.signal(signal.SIGCONT)
        wait_until("it writes", lambda: count(write) > 0, write.log_tail)
        before = len(client.acknowledged)
        wait_until("more came", lambda: len(client.acknowledged) > before + 500)
    wait_until("all is in the table", lambda: count(write) >= len(client.acknowledged),
               write.log_tail)
    write.stop()
    assert_each_once(read_everywhere(write.access_logs), client)


def test_a_partition_that_comes_back_with_dead_letters_is_read_on(cluster):
    """What a writer knew of a partition's end when it gave it up is no measure when it has it again."""
    ingest, first = cluster("ingest"), cluster("write")

    def post(numbers):
        for number in numbers:
            batch = [{"ts": AT, "path": f"/{number}"}, {"path": f"/no-time/{number}"}]
            assert ingest.post(batch).status == 202
        wait_until("all is in the table", lambda: count(first) == numbers[-1] + 1, first.log_tail)

    post(range(20))
    second = cluster("write")
    wait_until("the second one has some", lambda: "took over" in second.log_tail(), second.log_tail)
    post(range(20, 60))
    second.stop()
    post(range(60, 80))
    first.stop()
    assert len(read_everywhere(first.dead_letters)) == 80


def test_a_static_member_that_restarts_costs_the_others_nothing(cluster):
    ingest = cluster("ingest")
    write = [cluster("write", {"journal.kafka.group_instance_id": f"writer-{number}",
                               "journal.kafka.session_timeout": "30s"}) for number in range(2)]
    wait_until("both have partitions", lambda: all(
        "took over a partition" in process.log_tail() for process in write), write[0].log_tail)
    for number in range(20):
        assert ingest.post([{"ts": AT, "path": f"/{number}"}]).status == 202
    wait_until("all is in the table", lambda: count(write[0]) == 20, write[0].log_tail)
    before = write[0].metric("millrace_journal_rebalances_total")
    write[1].kill()
    write[1].start()
    for number in range(20, 60):
        assert ingest.post([{"ts": AT, "path": f"/{number}"}]).status == 202
    wait_until("all is in the table", lambda: count(write[0]) == 60, write[1].log_tail)
    assert write[0].metric("millrace_journal_rebalances_total") == before


def test_a_broker_that_is_away_is_said_and_survived(broker, cluster):
    ingest, write = cluster("ingest"), cluster("write")
    assert ingest.post([{"ts": AT, "path": "/before"}]).status == 202
    broker.kill()
    try:
        answer = ingest.post([{"ts": AT, "path": "/meanwhile"}])
        assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1, answer.text
        wait_until("it is not ready", lambda: not ingest.is_ready(), ingest.log_tail)
        assert ingest.get("/healthz").status == 200
        assert write.is_running()
    finally:
        broker.up()
    wait_until("it is ready again", ingest.is_ready, ingest.log_tail)
    assert ingest.post([{"ts": AT, "path": "/after"}]).status == 202
    wait_until("all is in the table",
               lambda: write.metric("millrace_writer_records_total") >= 2, write.log_tail)
    ingest.stop()
    write.stop()
    paths = [row["path"] for row in read_everywhere(write.access_logs)]
    assert sorted(set(paths) - {"/meanwhile"}) == ["/after", "/before"]
    assert len(paths) == len(set(paths))


def test_other_programs_write_to_the_topic_and_read_from_it(broker, cluster):
    ingest = cluster("ingest")
    lines = [json.dumps({"ts": AT, "path": "/foreign", "userAgent": "x"}), "nonsense",
             json.dumps({"path": "/no-time"})]
    broker.tool("org.apache.kafka.tools.ConsoleProducer", "--topic", broker.topic,
                stdin="\n".join(lines) + "\n")
    assert ingest.post([{"ts": AT, "path": "/ours"}, {"ts": AT, "path": "/ours"}]).status == 202
    read = broker.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", broker.topic,
                       "--from-beginning", "--max-messages", "4", "--timeout-ms", "60000")
    assert [json.loads(line)["path"] for line in read.splitlines() if "/ours" in line] == 2 * ["/ours"]
    write = cluster("write")
    wait_until("all is in the table", lambda: write.metric("millrace_writer_records_total") == 3,
               write.log_tail)
    lag = broker.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                      "--describe", "--group", "millrace-writer")
    assert broker.topic in lag
    write.stop()
    rows = read_everywhere(write.access_logs)
    assert sorted(row["path"] for row in rows) == ["/foreign", "/ours", "/ours"]
    letters = read_everywhere(write.dead_letters)
    assert sorted(row["payload"] for row in letters) == sorted(lines[1:])
    assert all("offset" in row["reason"] and row["source"] == "journal" for row in letters)


def test_what_ingest_wrote_is_json_lines_for_kcat(broker, cluster):
    ingest = cluster("ingest")
    log = [{"ts": AT, "path": f"/{number}"} for number in range(10)]
    assert ingest.post(log).status == 202
    read = subprocess.run(["kcat", "-b", broker.address, "-C", "-t", broker.topic, "-e", "-q"],
                          capture_output=True, text=True, timeout=60)
    assert read.returncode == 0, read.stderr
    records = [json.loads(line) for line in read.stdout.splitlines() if line]
    assert sorted(record["path"] for record in records) == sorted(record["path"] for record in log)


def test_what_a_python_client_produced_is_written(broker, cluster):
    producer = Producer({"bootstrap.servers": broker.address})
    for number in range(1000):
        producer.produce(broker.topic, json.dumps({"ts": AT, "path": f"/{number}", "status": 200}))
    producer.produce(broker.topic, b"\xff\x00")
    producer.produce(broker.topic, None, key="a tombstone")
    assert producer.flush(60) == 0
    write = cluster("write")
    wait_until("all is in the table", lambda: write.metric("millrace_writer_records_total") == 1000,
               write.log_tail)
    wait_until("nothing is behind",
               lambda: write.metric("millrace_writer_partition_lag_entries") == 0, write.log_tail)
    assert write.metric("millrace_writer_partition_lag_seconds") == 0
    write.stop()
    paths = [row["path"] for row in read_everywhere(write.access_logs)]
    assert sorted(paths) == sorted(f"/{number}" for number in range(1000))
    assert any("\\xFF" in row["payload"] for row in read_everywhere(write.dead_letters))


def test_transactions_of_other_programs_are_read_with_their_gaps(broker, cluster):
    """Markers and aborted records take offsets, and are no records."""
    write = cluster("write")
    producer = Producer({"bootstrap.servers": broker.address, "transactional.id": broker.topic})
    producer.init_transactions(60)
    for number in range(20):
        producer.begin_transaction()
        for index in range(3):
            record = {"ts": AT, "path": f"/{number}/{index}"}
            producer.produce(broker.topic, json.dumps(record), partition=number % 2)
        if number % 4 == 3:
            producer.abort_transaction(60)
        else:
            producer.commit_transaction(60)
    wait_until("all is in the table", lambda: write.metric("millrace_writer_records_total") == 45,
               write.log_tail)
    wait_until("the table is over the last marker too",
               lambda: write.metric("millrace_writer_lag_entries") == 0, write.log_tail)
    write.stop()
    assert sorted(row["path"] for row in read_everywhere(write.access_logs)) == sorted(
        f"/{number}/{index}" for number in range(20) if number % 4 != 3 for index in range(3))


def test_a_topic_that_was_made_anew_stops_the_writer(broker, cluster):
    ingest, write = cluster("ingest"), cluster("write")
    assert ingest.post([{"ts": AT, "path": "/old"}]).status == 202
    wait_until("it is in the table", lambda: write.metric("millrace_writer_records_total") == 1,
               write.log_tail)
    ingest.stop()
    write.stop()
    broker.delete_topic()
    broker.up()
    ingest.start()
    for number in range(20):  # Some go to the partition that the table covers.
        assert ingest.post([{"ts": AT, "path": f"/new/{number}"}]).status == 202
    write.spawn()
    assert write.wait_until_gone() == 1
    assert "the journal was made anew" in write.log_tail()
    assert [row["path"] for row in read_everywhere(write.access_logs)].count("/old") == 1


def test_what_the_topic_refuses_is_said_and_nothing_else_stops(broker, cluster):
    broker.alter_topic("max.message.bytes", 10_000)
    ingest = cluster("ingest")
    wait_until("it warns", lambda: "takes less than journal.entry_size_max" in ingest.log_tail())
    assert "min.insync.replicas" in ingest.log_tail()
    answer = ingest.post([{"ts": AT, "path": "/", "x": os.urandom(4_000).hex()}
                          for _ in range(4)])
    assert answer.status == 413 and "max.message.bytes" in answer.text
    assert ingest.is_ready()
    assert ingest.post([{"ts": AT, "path": "/small"}]).status == 202


def test_too_few_replicas_in_sync_are_heard_as_busy_and_nothing_is_acknowledged(
        broker, cluster, tmp_path):
    ingest, write = cluster("ingest"), cluster("write")
    ingest.stop()
    write.stop()
    follower = Broker(tmp_path / "follower", topic="not-used")
    follower.follow(broker)
    follower.up()
    try:
        broker.topic = broker.topic + "-replicated"
        broker.make_topic(replicas=2, settings={"min.insync.replicas": "2"})
        ingest, write = cluster("ingest"), cluster("write")
        assert "min.insync.replicas" not in ingest.log_tail()
        assert ingest.post([{"ts": AT, "path": "/both"}]).status == 202
        follower.down()
        answer = ingest.post([{"ts": AT, "path": "/refused"}])
        assert answer.status == 503 and answer.headers["retry-after"], answer.text
        follower.up()
        wait_until("it takes batches again",
                   lambda: ingest.post([{"ts": AT, "path": "/again"}]).status == 202,
                   ingest.log_tail)
        wait_until("what was acknowledged is in the table",
                   lambda: write.metric("millrace_writer_records_total") >= 2, write.log_tail)
        paths = [row["path"] for row in read_everywhere(write.access_logs)]
        assert paths.count("/both") == 1 and "/again" in paths
    finally:
        follower.down()


def test_a_topic_that_is_not_there_is_said(broker, tmp_path):
    settings = {**broker.settings(), "journal.kafka.topic": "absent"}
    write = Millrace(tmp_path / "write", settings, role="write")
    write.spawn()
    assert write.wait_until_gone() == 1
    assert 'topic "absent" is not there: create it' in write.log_tail()
    ingest = Millrace(tmp_path / "ingest", settings, role="ingest")
    ingest.spawn()
    try:
        wait_until("it says so", lambda: "absent" in ingest.log_tail(), ingest.log_tail)
        assert not ingest.is_ready()
    finally:
        ingest.kill()


def test_settings_of_kafka_are_checked_at_the_start(tmp_path):
    path = tmp_path / "config.yaml"
    cases = [("properties: [{name: socket.keepalive.enabled, value: 'true'}]",
              "No such configuration property"),
             ("properties: [{name: acks, value: '1'}]", "is not for the configuration"),
             ("properties: [{name: linger.ms, value: soon}]", "linger.ms"),
             ("brokers: []", "at least one HOST:PORT")]
    for line, message in cases:
        path.write_text(f"journal:\n  kind: kafka\n  kafka:\n    {line}\n")
        done = run("config", "check", path, check=False)
        assert done.returncode != 0 and message in done.stderr, (line, done.stderr)
    path.write_text("journal:\n  kind: embedded\n")
    done = run("ingest", "--config", path, check=False)
    assert done.returncode == 2 and "journal.kind: kafka" in done.stderr
