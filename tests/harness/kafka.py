"""A real Kafka broker, started and stopped as tools/infra.sh does it for developers."""
import os
import signal
import socket
import subprocess
from pathlib import Path

from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic)

from harness.ports import free_ports
from harness.process import ROOT
from harness.waiting import wait_until


class Broker:
    """One broker over one folder, with one topic of 6 partitions."""

    def __init__(self, folder, topic="millrace"):
        self.folder = Path(folder)
        self.topic = topic
        self.port = free_ports(3)
        self.secure_port = self.port + 2
        self.log = ""
        self._environment = {}

    def use(self, properties):
        """More settings of the broker, for the next start."""
        path = self.folder / "more.properties"
        path.write_text(properties)
        self._environment["KAFKA_PROPERTIES"] = str(path)

    def follow(self, leader):
        """Makes this a second broker of the cluster of `leader`, which is up. Before the first start."""
        properties = dict(line.split("=", 1) for line in (
            leader.folder / "data/meta.properties").read_text().splitlines() if "=" in line)
        self._environment["KAFKA_CLUSTER_ID"] = properties["cluster.id"]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.use(f"process.roles=broker\nnode.id=2\nlisteners=PLAINTEXT://{self.address}\n"
                 f"controller.quorum.voters=1@127.0.0.1:{leader.port + 1}\n")

    def make_topic(self, replicas, settings):
        """Its settings come with it, so that no broker knows it without them."""
        admin = AdminClient({"bootstrap.servers": self.address})
        topic = NewTopic(self.topic, 6, replicas, config=settings)
        admin.create_topics([topic])[self.topic].result(60)

    def add_partitions(self, count):
        """So that the topic has `count` of them."""
        admin = AdminClient({"bootstrap.servers": self.address})
        if count > len(admin.list_topics(self.topic).topics[self.topic].partitions):
            admin.create_partitions([NewPartitions(self.topic, count)])[self.topic].result(60)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _infra(self, command):
        done = subprocess.run(
            [ROOT / "tools/infra.sh", command], capture_output=True, text=True, timeout=600,
            env={**os.environ, **self._environment, "KAFKA_PORT": str(self.port), "KAFKA_TOPIC": self.topic,
                 "INFRA_DATA": str(self.folder)})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self):
        self.log += self._infra("up")
        return self

    def down(self):
        self.log += self._infra("down")

    def signal(self, number):
        os.kill(int((self.folder / "pid").read_text()), number)

    def kill(self):
        self.signal(signal.SIGKILL)
        # A process that is going has its ports for a moment longer than its name.
        wait_until("the broker's port is free", self._is_port_free)
        self.down()

    def _is_port_free(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def tool(self, name, *arguments, stdin=None):
        """One of Kafka's own command-line tools, against this broker."""
        done = subprocess.run(
            [ROOT / "tools/infra.sh", "tool", name, "--bootstrap-server", self.address, *arguments],
            input=stdin, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def alter_topic(self, name, value):
        """Waits until the broker says so: it answers the change before it has applied it."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, self.topic, incremental_configs=[
            ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)])
        admin = AdminClient({"bootstrap.servers": self.address})
        admin.incremental_alter_configs([resource])[resource].result(60)
        asked = ConfigResource(ConfigResource.Type.TOPIC, self.topic)
        wait_until(f"the topic has {name}={value}", lambda: admin.describe_configs([asked])[
            asked].result(60)[name].value == str(value))

    def delete_topic(self):
        """Waits until it is gone."""
        admin = AdminClient({"bootstrap.servers": self.address})
        admin.delete_topics([self.topic], operation_timeout=30)[self.topic].result(60)
        wait_until("the topic is gone",
                   lambda: self.topic not in admin.list_topics(timeout=30).topics)

    def settings(self):
        return {"journal.kind": "kafka", "journal.kafka.brokers": [self.address],
                "journal.kafka.topic": self.topic}
