"""A client that knows what became of each record that it sent."""
import http.client
import itertools
import json
import random
import threading
from collections import Counter

from harness.http import exchange


class LoadClient:
    """Threads that post batches without a pause until they are stopped.

    Every record's path is unique, and so is every rejected record's payload. `url` is asked for
    before each request: a server that is down, or comes back on another port, costs tries only. An
    answer that no server in order gives ends the thread with an error.
    """

    def __init__(self, url, threads=3, timestamps=("2026-01-02T03:04:05Z", "2026-01-03T00:00:00Z"),
                 pad_bytes=0, resend_seed=None, pause_seconds=0, api_key=None,
                 first=0):
        """`resend_seed`: batches have an Idempotency-Key; each is sent again until it is acknowledged,
        and some of them, chosen by the seed, once more after that, as after a lost reply.
        `pause_seconds`: of each thread, after each batch. `first`: the number of the first batch, for a
        second client of the same tables."""
        self.acknowledged = []           # Paths of batches that were answered with 202.
        self.acknowledged_rejects = []   # Payloads that were answered as rejected.
        self.refused = []                # Paths of batches that never left, or got 503.
        self.unknown = []                # Of those whose connection was cut.
        self.batches = 0                 # Acknowledged.
        self.resent = 0                  # Times that a batch was sent again.
        self._choose = None if resend_seed is None else random.Random(resend_seed)
        self._url = url
        self._timestamps = timestamps
        self._padding = "x" * pad_bytes
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._pause_seconds = pause_seconds
        self._numbers = itertools.count(first)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    @property
    def unacknowledged(self):
        """What may be in the table or not: of a 503, the entry may have reached the disk."""
        return self.refused + self.unknown

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self):
        while not self._stopped.is_set():
            url = self._url()
            if url is None:
                self._stopped.wait(0.005)
                continue
            self._send_batch(url, next(self._numbers))
            self._stopped.wait(self._pause_seconds)

    def _send_batch(self, url, number):
        if self._choose is None:
            self._post(url, number, {})
            return
        headers = {"Idempotency-Key": f"batch-{number}"}
        while not self._post(url, number, headers):
            # Also at the end of the run: for a moment, so that few batches stay unknown.
            if self._stopped.wait(0.05):
                return
            url = self._url() or url
            self.resent += 1
        if self._choose.random() < 0.1:
            self._post(self._url() or url, number, headers)
            self.resent += 1

    def _post(self, url, number, headers):
        """Whether it was acknowledged."""
        paths = [f"/batch/{number}/{index}" for index in range(number % 7 + 1)]
        records = [{"timestamp": self._timestamps[number % len(self._timestamps)], "path": path,
                    "userAgent": f"agent {number % 3}", "status": (200, 404, 500)[number % 3],
                    "bytes": 1, "record": path, "padding": self._padding} for path in paths]
        rejects = [{"path": f"/no-time/{number}"}] if number % 5 == 0 else []
        try:
            answer = exchange(url, "POST", "/logs", json.dumps(records + rejects),
                              {**self._headers, **headers})
        except ConnectionRefusedError:
            outcome = self.refused
        except (OSError, http.client.HTTPException):
            outcome = self.unknown
        else:
            assert answer.status in (202, 503), answer.text
            outcome = self.acknowledged if answer.status == 202 else self.refused
        is_acknowledged = outcome is self.acknowledged
        with self._lock:
            outcome.extend(paths)
            if is_acknowledged:
                self.batches += 1
                assert answer.json["accepted"] == len(paths), answer.text
                assert answer.json["rejected"] == len(rejects), answer.text
                self.acknowledged_rejects.extend(map(json.dumps, rejects))
        return is_acknowledged


def assert_each_once(rows, client):
    """Acknowledged records are there exactly once, the others at most once, and nothing else."""
    seen = Counter(row["path"] for row in rows)
    twice = [path for path, count in seen.items() if count > 1]
    assert not twice, f"{len(twice)} records are there more than once, e.g. {sorted(twice)[:3]}"
    lost = set(client.acknowledged) - set(seen)
    assert not lost, f"{len(lost)} acknowledged records are lost, e.g. {sorted(lost)[:3]}"
    strangers = set(seen) - set(client.acknowledged) - set(client.unacknowledged)
    assert not strangers, f"records that nobody sent: {sorted(strangers)[:3]}"
    for row in rows:
        assert row["attributes"]["record"] == row["path"], "fields of two records were mixed"


def assert_rejects_are_kept(letters, client):
    """Acknowledged rejects are dead letters exactly once, the others at most once."""
    seen = Counter(row["payload"] for row in letters)
    assert not [payload for payload, count in seen.items() if count > 1], "a dead letter twice"
    lost = set(client.acknowledged_rejects) - set(seen)
    assert not lost, f"{len(lost)} rejects are lost, e.g. {sorted(lost)[:3]}"
