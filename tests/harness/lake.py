"""Where the tables of a test are: in its data folder, or on an S3 server."""
import hashlib
import json
from pathlib import Path


class LocalLake:
    """In the data folder itself."""

    def settings(self, _data_dir):
        return {}

    def bring_here(self, _data_dir):
        """Makes `data_dir`/lake and `data_dir`/analytics what is stored now."""

    def arguments(self, _data_dir):
        """What the tools are given beside --data."""
        return []

    def stop(self):
        pass


class S3Lake:
    """Below a prefix of its own for each data folder, in the bucket of an S3 server.

    bring_here() mirrors it to where a local lake would be, so that a test looks at either alike.
    """

    def __init__(self, server):
        self.server = server
        self._tags = {}  # Path of a mirrored file -> the object's ETag.

    def _prefix(self, data_dir):
        return hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]

    def settings(self, data_dir):
        url = f"s3://{self.server.bucket}/{self._prefix(data_dir)}"
        return {"lake": f"{url}/lake", "analytics": f"{url}/analytics", **self.server.settings()}

    def bring_here(self, data_dir):
        prefix = self._prefix(data_dir) + "/"
        # The log is listed first, so that all it names is there: files are written before it.
        keys = [key for kind in ("lake", "analytics") for key in self._list(f"{prefix}{kind}/")]
        there = set()
        for key, tag in keys:
            path = Path(data_dir) / key[len(prefix):]
            there.add(path)
            if self._tags.get(path) == tag:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.write_bytes(self.server.get(key))
            except self.server.client.exceptions.NoSuchKey:
                continue
            self._tags[path] = tag
        for path in set(self._tags) - there:
            if Path(data_dir) in path.parents:
                path.unlink()
                del self._tags[path]

    def _list(self, prefix):
        objects = self.server.list(prefix)
        return sorted(objects, key=lambda item: "/_delta_log/" not in item[0])

    def arguments(self, data_dir):
        path = Path(data_dir) / "tools.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(nested(self.settings(data_dir))))
        return ["--config", str(path)]

    def stop(self):
        self.server.remove()


def nested(settings):
    """{"a.b": 1} -> {"a": {"b": 1}}"""
    tree = {}
    for path, value in settings.items():
        node = tree
        *sections, name = path.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    return tree
