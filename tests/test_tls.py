"""HTTPS, and what SIGHUP takes over while the server runs."""
import hashlib
import http.client
import json
import shutil
import signal
import socket
import ssl
from pathlib import Path

import pytest

from harness.certificates import make_certificate
from harness.process import run
from harness.readers import read_everywhere
from harness.waiting import wait_until

AT = "2026-01-02T03:04:05Z"


@pytest.fixture
def certificate(tmp_path):
    return make_certificate(tmp_path)


def tls_settings(certificate):
    return {"http.tls_certificate_file": str(certificate[0]),
            "http.tls_key_file": str(certificate[1])}


def context_of(certificate):
    return ssl.create_default_context(cafile=str(certificate[0]))


def connect(server, certificate):
    return http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60,
                                       context=context_of(certificate))


def post_on(connection, path, **headers):
    connection.request("POST", "/logs", json.dumps([{"ts": AT, "path": path}]),
                       {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    response.read()
    return response.status


def wait_for_log(server, text):
    wait_until(f"the log says: {text}", lambda: text in server.log_tail(), server.log_tail)


def test_batches_come_over_tls(start, certificate):
    server = start(tls_settings(certificate))
    assert server.url.startswith("https://")
    connection = connect(server, certificate)
    assert post_on(connection, "/1") == 202
    assert post_on(connection, "/2") == 202, "on the same connection"
    assert connection.sock.version() == "TLSv1.3"
    large = json.dumps([{"ts": AT, "path": f"/large/{i}", "x": "y" * 1000} for i in range(5_000)])
    connection.request("POST", "/logs", large, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 202 and json.loads(response.read())["accepted"] == 5_000
    lines = "".join(f'127.0.0.1 - - [02/Jan/2026:03:04:05 +0000] "GET /{i} HTTP/1.1" 200 5\n'
                    for i in range(100))
    run("send", "-", "--to", server.url, "--ca-file", certificate[0], stdin=lines)
    run("healthcheck", "--url", server.url, "--ca-file", certificate[0])
    stranger = run("healthcheck", "--url", server.url, check=False)
    assert stranger.returncode == 1 and "certificate" in stranger.stderr
    server.stop()
    assert len(read_everywhere(server.access_logs)) == 2 + 5_000 + 100


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_clients_that_do_not_speak_it_hurt_nobody(start, certificate):
    server = start({**tls_settings(certificate), "http.header_timeout": "200ms"})
    for first in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01", b"\0" * 5000, b""):
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            plain.settimeout(60)
            plain.sendall(first)
            try:
                while plain.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            old.wrap_socket(plain)
    assert post_on(connect(server, certificate), "/still") == 202
    assert server.metric("millrace_http_connections", listener="api") is not None


@pytest.mark.parametrize("spoil, message", [
    (lambda certificate, key: key.unlink(), "http.tls_key_file"),
    (lambda certificate, key: certificate.write_text("nonsense"), "http.tls_certificate_file"),
    (lambda certificate, key: shutil.copy(make_certificate(key.parent, "other")[1], key),
     "http.tls_key_file.*key values mismatch"),
], ids=["no key", "no certificate", "another's key"])
def test_files_that_are_no_certificate_are_named(start, certificate, spoil, message):
    spoil(*certificate)
    with pytest.raises(AssertionError, match=message):
        start(tls_settings(certificate))


def test_a_new_certificate_is_shown_after_sighup(tmp_path, start, certificate):
    server = start(tls_settings(certificate))
    old_copy = tmp_path / "old.pem"
    shutil.copy(certificate[0], old_copy)
    before = connect(server, [old_copy])
    assert post_on(before, "/before") == 202
    new = make_certificate(tmp_path, "new")
    for source, target in zip(new, certificate):
        shutil.copy(source, target)
    server.signal(signal.SIGHUP)
    wait_for_log(server, "reloaded keys, certificate and log level")
    assert post_on(connect(server, new), "/after") == 202
    with pytest.raises(ssl.SSLCertVerificationError):
        post_on(connect(server, [old_copy]), "/nobody")
    assert post_on(before, "/goes-on") == 202, "connections that are open stay so"
    Path(certificate[1]).write_text("nonsense")
    server.signal(signal.SIGHUP)
    wait_for_log(server, "the configuration could not be reloaded")
    assert post_on(connect(server, new), "/still") == 202, "the old one stays"
    server.stop()
    assert {row["path"] for row in read_everywhere(server.access_logs)} == {
        "/before", "/after", "/goes-on", "/still"}


def key_settings(*names):
    return {"api_keys": [{"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(),
                          "site": f"{name}.example"} for name in names]}


def test_keys_and_the_log_level_are_taken_over_at_sighup(start):
    server = start(key_settings("old"))

    def status(key):
        return server.post([{"ts": AT, "path": f"/{key}"}], X_API_Key=key).status

    assert (status("old"), status("new")) == (202, 401)
    server.configure({**key_settings("new"), "log.level": "warn"})
    server.signal(signal.SIGHUP)
    wait_until("the new key is known", lambda: status("new") == 202, server.log_tail)
    assert status("old") == 401
    server.configure({"api_keys": [{"name": "broken"}]})
    server.signal(signal.SIGHUP)
    wait_for_log(server, "the configuration could not be reloaded")
    assert "is required" in server.log_tail()
    assert status("new") == 202, "the old ones stay"
    assert "reloaded keys" not in server.log_tail(), "that is below the new level"
    server.stop()
    assert {row["site"] for row in read_everywhere(server.access_logs)} == {
        "old.example", "new.example"}
