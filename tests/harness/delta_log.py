"""A Delta table's log, replayed by hand from its JSON entries alone: an oracle of its own."""
import json
from pathlib import Path
from urllib.parse import unquote


class DeltaLog:
    """The state of a table at its last version. Checkpoints are ignored; every entry is read."""

    def __init__(self, table_dir):
        self.table_dir = Path(table_dir)
        self.version = -1
        self.adds = {}       # Path -> add action.
        self.positions = {}  # appId -> version of the txn action.
        self.metadata = None
        self.protocol = None
        self.refresh()

    def refresh(self):
        """Reads the entries that appeared since."""
        while (path := self._entry(self.version + 1)).exists():
            for line in path.read_text().splitlines():
                self._apply(json.loads(line))
            self.version += 1
        return self

    def _entry(self, version):
        return self.table_dir / "_delta_log" / f"{version:020}.json"

    def _apply(self, action):
        if add := action.get("add"):
            assert add["path"] not in self.adds, f"added twice: {add['path']}"
            self.adds[add["path"]] = add
        elif remove := action.get("remove"):
            del self.adds[remove["path"]]
        elif txn := action.get("txn"):
            assert txn["version"] >= self.positions.get(txn["appId"], 0), "a position moved back"
            self.positions[txn["appId"]] = txn["version"]
        elif metadata := action.get("metaData"):
            self.metadata = metadata
        elif protocol := action.get("protocol"):
            self.protocol = protocol

    def record_count(self):
        return sum(json.loads(add["stats"])["numRecords"] for add in self.adds.values())

    def live_files(self):
        """[(path on disk, partition values)]"""
        return [(self.table_dir / unquote(add["path"]), add["partitionValues"])
                for add in self.adds.values()]

    def schema(self):
        """[(name, type as the log writes it, nullable)]"""
        fields = json.loads(self.metadata["schemaString"])["fields"]
        return [(field["name"], field["type"], field["nullable"]) for field in fields]
