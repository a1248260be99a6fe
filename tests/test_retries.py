"""A batch that is sent again under its Idempotency-Key is in the tables once."""
from harness.load import LoadClient, assert_each_once, assert_rejects_are_kept
from harness.process import Millrace, query, run
from harness.readers import read_everywhere
from harness.waiting import wait_until

AT = "2026-01-02T03:04:05Z"


def test_a_file_that_is_sent_twice_adds_nothing(start, tmp_path):
    server = start()
    log = tmp_path / "access.log"
    log.write_text(run("generate", "--records", 5000, "--seed", 4).stdout)
    for _ in range(2):
        assert "5,000 accepted" in run("send", log, "--to", server.url).stdout
    server.stop()
    server.start()
    assert "5,000 accepted" in run("send", log, "--to", server.url).stdout
    wait_until("all five batches are recognised",
               lambda: server.metric("millrace_writer_duplicates_total") == 5, server.log_tail)
    server.stop()
    assert len(read_everywhere(server.access_logs)) == 5000


def test_a_key_counts_for_its_window_and_its_api_key_alone(start):
    made = [run("key", "create").stdout.split() for _ in range(2)]
    keys = [next(word for word in words if word.startswith("mr_")) for words in made]
    hashes = [next(word for word in words if len(word) == 64) for words in made]
    server = start({"api_keys": [{"name": name, "sha256": digest, "site": name}
                                 for name, digest in zip("ab", hashes)],
                    "writer.dedupe_window": "1s"})
    for key in keys:
        for _ in range(2):
            answer = server.post([{"ts": AT, "path": "/x"}, {"path": "/no-time"}], X_API_Key=key,
                                 Idempotency_Key="same")
            assert answer.status == 202 and answer.json["batch_id"] == "same"
    server.stop()
    assert sorted(row["path"] for row in read_everywhere(server.access_logs)) == ["/x", "/x"]
    assert len(read_everywhere(server.dead_letters)) == 2
    server.start()

    def is_taken_again():
        server.post([{"ts": AT, "path": "/later"}], X_API_Key=keys[0], Idempotency_Key="same")
        return query(server.data_dir, "SELECT path FROM access_logs WHERE path = '/later'")

    wait_until("the window is over", is_taken_again, server.log_tail)


def test_batches_that_are_sent_again_through_kills_are_there_once(tmp_path):
    server = Millrace(tmp_path, {"writer.flush_age": "200ms", "writer.flush_idle": "0s"})
    with LoadClient(lambda: server.url, resend_seed=1) as client:
        for step in ("journal.after_sync", "writer.after_dead_letters_commit",
                     "writer.after_table_commit", "delta.after_commit") * 2:
            server.spawn(f"{step}:3")
            assert server.wait_until_gone() == -9
        server.start()
        before = client.batches
        wait_until("some more came", lambda: client.batches > before + 50, server.log_tail)
    server.stop()
    print(f"{client.batches} batches acknowledged, {client.resent} sent again")
    assert client.resent > 10
    rows = read_everywhere(server.access_logs)
    assert_each_once(rows, client)
    assert_rejects_are_kept(read_everywhere(server.dead_letters), client)
