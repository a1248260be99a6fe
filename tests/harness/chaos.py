"""The three workloads and their broker, under a seeded schedule of faults."""
import random
import signal
import time
from collections import Counter

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from harness.delta_log import DeltaLog
from harness.load import LoadClient, assert_each_once, assert_rejects_are_kept
from harness.process import Millrace
from harness.proxy import CuttingProxy
from harness.readers import read_everywhere
from harness.rollups import differences
from harness.waiting import wait_until

SETTINGS = {"writer.flush_age": "300ms", "writer.flush_idle": "0s",
            "journal.kafka.session_timeout": "6s", "journal.kafka.max_poll_interval": "7s",
            "journal.kafka.delivery_timeout": "3s"}
WRITERS_MAX = 3


class Chaos:
    """One run over a topic and a folder of its own. All of its choices follow from `seed`."""

    def __init__(self, broker, folder, seed):
        self.broker = broker
        self.folder = folder
        self.faults = Counter()
        self._choose = random.Random(seed)
        self._seed = seed
        self._processes = []
        self._down = []    # (when to start it again, process)
        self._paused = []  # (when to go on, process)
        self._kinds = {self._kill: 6, self._stop: 4, self._pause_shortly: 4, self._pause_for_long: 2,
                       self._add_writer: 2, self._remove_writer: 2, self._restart_broker: 1,
                       self._kill_broker: 1}

    def run(self, load_seconds):
        """The load and the faults, then the checks. Returns what it counted, as text."""
        self.broker.topic = f"chaos-{self.folder.name}-{self._seed}"
        self.broker.up()
        for role in ("ingest", "ingest", "write", "write", "aggregate"):
            self._add(role)
        with CuttingProxy(self._ingest_url, self._seed) as proxy:
            with LoadClient(lambda: proxy.url, resend_seed=self._seed, pause_seconds=0.01) as client:
                end = time.monotonic() + load_seconds
                while time.monotonic() < end:
                    time.sleep(self._choose.uniform(0.2, 1.5))
                    self._repair()
                    fault = self._choose.choices(list(self._kinds), self._kinds.values())[0]
                    fault()
                self._repair(all_of_it=True)
            self.faults["replies and requests lost"] = proxy.cuts
        self._check(client)
        return (f"seed {self._seed}: {client.batches} batches acknowledged, {client.resent} sent "
                f"again; faults: {dict(sorted(self.faults.items()))}")

    def end(self):
        for process in self._processes:
            process.kill()

    def _add(self, role):
        process = Millrace(self.folder / f"{role}{len(self._processes)}",
                           {**self.broker.settings(), **SETTINGS}, data_dir=self.folder / "data",
                           role=role)
        process.spawn()
        self._processes.append(process)

    def _ingest_url(self):
        urls = [process.url for process in self._processes if process.role == "ingest" and process.url]
        return random.choice(urls) if urls else None

    def _hale(self, *roles):
        """Processes that no fault has hit yet. One that is not there has ended by itself."""
        ill = [process for _, process in self._down + self._paused]
        found = [process for process in self._processes
                 if process not in ill and process.role in (roles or (process.role,))]
        for process in found:
            assert process.is_running(), f"{process.role} ended by itself:\n{process.log_tail()}"
        return found

    def _started(self, *roles):
        """Those that are so far that SIGTERM is a clean end for them."""
        return [process for process in self._hale(*roles) if process.admin_url]

    def _note(self, fault):
        self.faults[fault] += 1

    def _later(self, shortest, longest):
        return time.monotonic() + self._choose.uniform(shortest, longest)

    def _kill(self):
        for process in self._pick(self._hale()):
            self._note(f"kill -9 of {process.role}")
            process.kill()
            self._down.append((self._later(0, 3), process))

    def _stop(self):
        for process in self._pick(self._started()):
            self._note(f"SIGTERM of {process.role}")
            process.stop()
            self._down.append((self._later(0, 3), process))

    def _pause_shortly(self):
        for process in self._pick(self._hale()):
            self._note(f"SIGSTOP of {process.role}, shortly")
            process.signal(signal.SIGSTOP)
            self._paused.append((self._later(0.1, 2), process))

    def _pause_for_long(self):
        """Longer than the group waits for a member."""
        for process in self._pick(self._hale("write")):
            self._note("SIGSTOP of write, until it has lost its partitions")
            process.signal(signal.SIGSTOP)
            self._paused.append((self._later(8, 12), process))

    def _add_writer(self):
        if len([process for process in self._processes if process.role == "write"]) < WRITERS_MAX:
            self._note("writer added")
            self._add("write")

    def _remove_writer(self):
        writers = self._started("write")
        if len(writers) > 1:
            process = self._choose.choice(writers)
            self._note("writer removed")
            process.stop()
            self._processes.remove(process)

    def _restart_broker(self):
        self._note("broker restarted")
        self.broker.down()
        self.broker.up()

    def _kill_broker(self):
        self._note("kill -9 of the broker")
        self.broker.kill()
        self.broker.up()

    def _pick(self, processes):
        return [self._choose.choice(processes)] if processes else []

    def _repair(self, all_of_it=False):
        """Starts and continues what is due."""
        now = time.monotonic()
        for due, process in list(self._paused):
            if all_of_it or due <= now:
                self._paused.remove((due, process))
                process.signal(signal.SIGCONT)
        for due, process in list(self._down):
            if all_of_it or due <= now:
                self._down.remove((due, process))
                process.spawn()

    def _check(self, client):
        lake = self._processes[0].lake
        log = DeltaLog(lake / "access_logs")

        def is_all_written():
            self._hale()
            # Of a lake elsewhere, what is here is as it was when it was last asked for.
            assert self._processes[0].lake == lake
            positions = {int(progress_id.rsplit("/", 1)[1]): position
                         for progress_id, position in log.refresh().positions.items()}
            return positions == self._end_offsets()

        wait_until("the table covers the whole topic", is_all_written,
                   lambda: f"{log.positions} of {self._end_offsets()}\n" + "\n".join(
                       process.log_tail() for process in self._hale("write")))
        wait_until("the rollups have it all", lambda: not differences(self.folder / "data"))
        for process in self._processes:
            process.stop()
        rows = read_everywhere(self._processes[0].lake / "access_logs")
        assert_each_once(rows, client)
        assert_batches_are_whole(rows)
        assert_rejects_are_kept(read_everywhere(lake / "dead_letters"), client)
        assert not differences(self.folder / "data")
        assert len(client.acknowledged) > 100

    def _end_offsets(self):
        """Of each partition that has entries. None: a broker that has just come back does not know them yet."""
        consumer = Consumer({"bootstrap.servers": self.broker.address, "group.id": "chaos-check"})
        try:
            metadata = consumer.list_topics(self.broker.topic, timeout=30)
            ends = {partition: consumer.get_watermark_offsets(
                        TopicPartition(self.broker.topic, partition), timeout=30)[1]
                    for partition in metadata.topics[self.broker.topic].partitions}
        except KafkaException as error:
            if error.args[0].code() not in (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE):
                raise
            return None
        finally:
            consumer.close()
        return {partition: end for partition, end in ends.items() if end > 0}


def assert_batches_are_whole(rows):
    """Of a batch, whatever became of it, all records are there or none."""
    seen = Counter(int(row["path"].split("/")[2]) for row in rows)
    torn = [number for number, count in seen.items() if count != number % 7 + 1]
    assert not torn, f"{len(torn)} batches are torn, e.g. {torn[:3]}"
