"""TLS and logins, with a real broker that wants them."""
import pytest
from confluent_kafka.admin import (AdminClient, ScramCredentialInfo, ScramMechanism,
                                   UserScramCredentialUpsertion)

from harness.certificates import make_certificate
from harness.examples import example, make_key
from harness.kafka import Broker
from harness.process import Millrace
from harness.readers import read_everywhere
from harness.waiting import wait_until

AT = "2026-01-02T03:04:05Z"
USER, PASSWORD = "millrace", "a secret, with \\ and \"quotes\""
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

PROPERTIES = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:{secure}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECURE://localhost:{secure}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
  required user_{user}="plain";
listener.name.secure.scram-sha-256.sasl.jaas.config=\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.scram-sha-512.sasl.jaas.config=\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kafka-secure")
    certificate, key = make_certificate(folder)
    keystore = folder / "keystore.pem"
    keystore.write_text(key.read_text() + certificate.read_text())
    broker = Broker(folder)
    broker.use(PROPERTIES.format(port=broker.port, controller=broker.port + 1,
                                 secure=broker.secure_port, user=USER, keystore=keystore))
    broker.up()
    admin = AdminClient({"bootstrap.servers": broker.address})
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        wanted = UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096),
                                              PASSWORD.encode())
        for done in admin.alter_user_scram_credentials([wanted]).values():
            done.result(60)
    yield broker
    broker.down()


def settings(broker, mechanism, **changes):
    return {**broker.settings(), "journal.kafka.brokers": [f"localhost:{broker.secure_port}"],
            "journal.kafka.security": "sasl_ssl",
            "journal.kafka.ssl_ca_file": str(broker.folder / "cert.pem"),
            "journal.kafka.sasl_mechanism": mechanism, "journal.kafka.sasl_username": USER,
            "journal.kafka.sasl_password": "plain" if mechanism == "PLAIN" else PASSWORD,
            "journal.kafka.delivery_timeout": "3s", "writer.flush_age": "200ms",
            **{f"journal.kafka.{name}": value for name, value in changes.items()}}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_login_over_tls(broker, tmp_path, mechanism):
    broker.topic = f"secure-{mechanism.lower()}"
    broker.up()
    server = Millrace(tmp_path, settings(broker, mechanism)).start()
    assert server.post([{"ts": AT, "path": "/a"}]).status == 202
    wait_until("it is in the table", lambda: server.metric("millrace_writer_records_total") == 1,
               server.log_tail)
    server.stop()
    assert [row["path"] for row in read_everywhere(server.access_logs)] == ["/a"]
    assert PASSWORD not in server.log_path.read_text()


@pytest.mark.local
def test_the_example_for_production(broker, tmp_path, monkeypatch):
    key, digest = make_key("shop")
    monkeypatch.setenv("MILLRACE_SHOP_KEY_SHA256", digest)
    monkeypatch.setenv("MILLRACE_KAFKA_PASSWORD", PASSWORD)
    settings = example("kafka.production", **{
        "journal.kafka.brokers": [f"localhost:{broker.secure_port}"],
        "journal.kafka.ssl_ca_file": str(broker.folder / "cert.pem"), "writer.flush_age": "1s"})
    broker.topic = settings["journal.kafka.topic"]
    broker.up()
    processes = [Millrace(tmp_path / role, settings, data_dir=tmp_path / "data", role=role).start()
                 for role in ("ingest", "write", "aggregate")]
    ingest, write, aggregate = processes
    assert ingest.post([{"ts": AT, "path": "/a"}], Authorization=f"Bearer {key}").status == 202
    wait_until("it is in the table",
               lambda: write.metric("millrace_writer_records_total") == 1, write.log_tail)
    wait_until("it is in the rollups",
               lambda: aggregate.metric("millrace_aggregate_files_folded_total") > 0,
               aggregate.log_tail)
    for process in processes:
        process.stop()


@pytest.mark.parametrize("changes, words", [
    ({"sasl_password": "wrong"}, "Authentication failed"),
    ({"ssl_ca_file": ""}, "certificate verify failed"),
    ({"security": "plaintext"}, "Disconnected")])
def test_what_the_broker_refuses_is_said(broker, tmp_path, changes, words):
    ingest = Millrace(tmp_path, settings(broker, "SCRAM-SHA-512", **changes), role="ingest")
    ingest.spawn()
    try:
        wait_until("it says why", lambda: words.lower() in ingest.log_tail().lower(), ingest.log_tail)
        wait_until("it listens", lambda: ingest.url and ingest.admin_url, ingest.log_tail)
        assert not ingest.is_ready()
        answer = ingest.post([{"ts": AT, "path": "/a"}])
        assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
    finally:
        ingest.kill()
