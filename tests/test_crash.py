"""kill -9 at any moment: what was acknowledged is in the table exactly once."""
import random
import threading

from harness.load import LoadClient, assert_each_once, assert_rejects_are_kept
from harness.process import Millrace
from harness.readers import read_everywhere
from harness.rollups import differences
from harness.sums import assert_sums_are_exact
from harness.waiting import wait_until

STEPS = ["journal.before_write", "journal.after_write", "journal.after_sync",
         "journal.after_rotate", "writer.before_file_finish", "writer.after_file_finish",
         "writer.after_dead_letters_commit", "writer.after_table_commit", "delta.before_commit",
         "delta.after_commit", "delta.after_checkpoint", "rollup.before_commit",
         "rollup.after_commit", "rollup.after_summary", "maintenance.before_commit",
         "maintenance.after_commit"]


def test_every_acknowledged_record_is_there_once_after_many_kills(tmp_path, pytestconfig):
    kills, seed = pytestconfig.getoption("--kills"), pytestconfig.getoption("--seed")
    print(f"{kills} kills, seed {seed}")
    choose = random.Random(seed)
    server = Millrace(tmp_path, {"writer.flush_age": "200ms", "writer.flush_idle": "0s",
                                 "aggregate.interval": "50ms", "maintain.interval": "100ms",
                                 "journal.segment_size_max": "64KiB"})
    reached = set()
    with LoadClient(lambda: server.url) as client:
        for kill in range(kills):
            step = STEPS[kill // 2 % len(STEPS)] if kill % 2 else None
            server.spawn(f"{step}:{choose.randint(1, 6)}" if step else None)
            if step is None:
                # The one wait here that is random: a kill at any instant, also during the start.
                threading.Event().wait(choose.uniform(0.01, 0.8))
                server.kill()
            elif server.wait_until_gone() == -9:
                reached.add(step)
    assert reached == {STEPS[kill // 2 % len(STEPS)] for kill in range(kills) if kill % 2}
    server.start()
    wait_until("all is in the table", lambda: server.metric("millrace_writer_lag_entries") == 0)
    server.stop()
    rows = read_everywhere(server.access_logs)
    print(f"{len(client.acknowledged)} acknowledged, {len(client.refused)} refused, "
          f"{len(client.unknown)} unknown, {len(rows)} in the table")
    assert_each_once(rows, client)
    assert_rejects_are_kept(read_everywhere(server.dead_letters), client)
    assert len(client.acknowledged) > 10 * kills
    assert client.unknown, "no kill met a request under way"
    assert_sums_are_exact(server, rows)
    assert not differences(server.data_dir), "our own SQL agrees"
