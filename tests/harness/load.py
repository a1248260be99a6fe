"""A client that knows what became of each record that it sent."""
import itertools
import json
import threading

from harness.http import exchange


class LoadClient:
    """Threads that post batches without a pause until they are stopped.

    Every record's path is unique. `url` is asked for before each request: a server that is down, or
    comes back on another port, costs tries only.
    """

    def __init__(self, url, threads=3, timestamps=("2026-01-02T03:04:05Z", "2026-01-03T00:00:00Z")):
        self.acknowledged = []  # Paths of batches that were answered with 202.
        self.unknown = []       # Of those that got no answer, or 503.
        self.rejected = 0       # Records answered as rejected.
        self._url = url
        self._timestamps = timestamps
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

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
            self._post(url)

    def _post(self, url):
        number = next(self._numbers)
        paths = [f"/batch/{number}/{index}" for index in range(number % 7 + 1)]
        records = [{"timestamp": self._timestamps[number % len(self._timestamps)], "path": path,
                    "userAgent": f"agent {number % 3}", "status": 200 + number % 2, "bytes": 1}
                   for path in paths]
        if number % 5 == 0:
            records.append({"path": f"/no-time/{number}"})
        try:
            answer = exchange(url, "POST", "/logs", json.dumps(records),
                              {"Content-Type": "application/json"})
        except (OSError, ValueError):
            answer = None
        except Exception:  # http.client's own: the connection was cut within an answer.
            answer = None
        with self._lock:
            if answer is not None and answer.status == 202:
                assert answer.json["accepted"] == len(paths), answer.text
                self.acknowledged.extend(paths)
                self.rejected += answer.json["rejected"]
            else:
                self.unknown.extend(paths)


def assert_each_once(rows, client):
    """Acknowledged records are there exactly once, the others at most once, and nothing else."""
    seen = [row["path"] for row in rows]
    assert len(seen) == len(set(seen)), "a record is there twice"
    seen = set(seen)
    lost = set(client.acknowledged) - seen
    assert not lost, f"{len(lost)} acknowledged records are lost, e.g. {sorted(lost)[:3]}"
    strangers = seen - set(client.acknowledged) - set(client.unknown)
    assert not strangers, f"records that nobody sent: {sorted(strangers)[:3]}"
