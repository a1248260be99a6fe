"""The commands, as people call them."""
import re
import subprocess

import pytest
import yaml

from harness.process import BINARY, HANG_SECONDS, ROOT, run
from harness.readers import read_everywhere
from harness.waiting import wait_until

EXAMPLES = sorted((ROOT / "config/examples").glob("*.yaml"))


@pytest.mark.parametrize("command", [
    [], ["serve"], ["ingest"], ["write"], ["send"], ["query"], ["aggregate"], ["generate"],
    ["config"], ["config", "check"], ["config", "print"], ["key"], ["key", "create"], ["dead-letters"], ["dead-letters", "list"],
    ["dead-letters", "replay"], ["healthcheck"], ["version"]])
def test_help_is_there_for_every_command(command):
    done = run(*command, "--help")
    assert "Usage" in done.stdout


def test_version():
    assert re.fullmatch(r"millrace \d+\.\d+\.\d+\n", run("version").stdout)


def test_an_unknown_command_is_an_error_of_usage():
    assert run("nonsense", check=False).returncode == 2


def test_printed_configuration_is_accepted(tmp_path):
    printed = run("config", "print").stdout
    for key in ("listen:", "flush_age:", "size_max:", "client_ip:"):
        assert key in printed
    path = tmp_path / "config.yaml"
    path.write_text(printed)
    assert "is fine" in run("config", "check", path).stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_accepted(path):
    run("config", "check", path)


def test_there_are_examples():
    assert EXAMPLES


def test_configuration_errors_name_the_place_and_the_way_out(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("http:\n  body_size_max: 10 apples\n  lisen: 127.0.0.1:1\n"
                    "writer: {flush_age: 5s, flush_age: 6s}\n")
    done = run("config", "check", path, check=False)
    assert done.returncode == 2
    assert f'{path}:2:3: http.body_size_max: "10 apples" is not a size (want e.g. 10MiB)' in done.stderr
    assert f"{path}:3:3" in done.stderr and "listen" in done.stderr
    assert f"{path}:4:" in done.stderr


@pytest.mark.parametrize("settings, words", [
    ("data: ''", "data: must not be empty"),
    ("ingest: {default_site: ''}", "default_site: must not be empty"),
    ("ingest: {future_max: 500ms}", "future_max"),
    ("http: {cors_origins: [example.com]}", '"example.com" is not an origin'),
    ("http: {listen: 'example:80'}", "is not an IP address and a port"),
    ("privacy: {redact_query_parameters: ['']}", "redact_query_parameters"),
    ("api_keys: [{name: a, site: a, sha256: %s}, {name: b, site: b, sha256: %s}]" % ("0" * 64, "0" * 64),
     '"b" is the same key as another'),
    ("query: {keys: [{name: a, sha256: %s}, {name: a, sha256: %s}]}" % ("0" * 64, "1" * 64), 'query.keys: "a" is there twice')])
def test_configuration_that_cannot_work_is_refused(tmp_path, settings, words):
    path = tmp_path / "config.yaml"
    path.write_text(settings + "\n")
    done = run("config", "check", path, check=False)
    assert done.returncode == 2 and words in done.stderr, done.stderr


def test_listening_beyond_loopback_wants_keys(tmp_path):
    done = run("serve", "--data", tmp_path, "--listen", "0.0.0.0:0", check=False)
    assert done.returncode == 2 and "api_keys" in done.stderr


def test_reading_beyond_loopback_wants_keys_of_its_own(tmp_path):
    (tmp_path / "lake").mkdir()
    path = tmp_path / "config.yaml"
    path.write_text("http: {allow_unauthenticated: true}\napi_keys: [{name: a, site: a, sha256: %s}]\n" % ("0" * 64))
    done = run("query", "--serve", "--data", tmp_path, "--config", path, "--listen", "0.0.0.0:0", check=False)
    assert done.returncode == 2 and "query.keys" in done.stderr


def test_a_server_of_questions_takes_no_question_beside(tmp_path):
    for option in (["SELECT 1"], ["--timeout", "1s"], ["--site", "a"], ["--format", "csv"]):
        done = run("query", "--serve", *option, check=False)
        assert done.returncode == 2 and "excludes" in done.stderr, done.stderr
    assert run("query", "--listen", "127.0.0.1:0", "SELECT 1", check=False).returncode == 2


def test_a_created_read_key_shows_its_sites(start, tmp_path):
    created = run("key", "create", "--read", "--site", "a.example", "--site", "b.example").stdout
    path = tmp_path / "config.yaml"
    path.write_text(created[created.index("query:"):])
    assert "is fine" in run("config", "check", path).stdout
    settings = yaml.safe_load(path.read_text())["query"]["keys"]
    assert settings[0]["sites"] == ["a.example", "b.example"]
    server = start({"query.keys": settings})
    key = re.search(r"mr_\w+", created)[0]
    assert server.get("/api/v1/summary").status == 401
    assert server.get("/api/v1/summary?site=b.example", X_API_Key=key).status == 200
    assert server.get("/api/v1/summary?site=c.example", X_API_Key=key).status == 403


def test_a_created_key_lets_its_sender_in(start, tmp_path):
    created = run("key", "create", "--name", "shop", "--site", "shop.example").stdout
    key = re.search(r"mr_\w+", created)[0]
    sha256 = re.search(r"sha256: (\w+)", created)[1]
    server = start({"api_keys": [{"name": "shop", "site": "shop.example", "sha256": sha256}]})
    log = tmp_path / "log"
    log.write_text(run("generate", "--records", 10).stdout)
    refused = run("send", log, "--to", server.url, check=False)
    assert refused.returncode == 1, "a cron job must hear of it"
    assert "0 accepted, 0 rejected, 10 not delivered" in refused.stdout and "HTTP 401" in refused.stderr
    accepted = run("send", "-", "--to", server.url, stdin=log.read_text(),
                   environment={"MILLRACE_API_KEY": key})
    assert "10 accepted, 0 rejected" in accepted.stdout
    server.stop()
    assert {row["site"] for row in read_everywhere(server.access_logs)} == {"shop.example"}


def test_a_process_wants_the_secrets_of_its_own_work_alone(start, tmp_path):
    """Each can be given its own: the others' files and variables are not looked for."""
    serve = start()
    assert serve.post([{"ts": 1767323045, "path": "/a"}]).status == 202
    serve.stop()
    config = tmp_path / "shared.yaml"
    config.write_text("api_keys:\n  - {name: shop, sha256_file: /nowhere/shop, site: shop.example}\n"
                      "journal:\n  kind: kafka\n  kafka:\n    security: sasl_ssl\n    sasl_mechanism: PLAIN\n"
                      "    sasl_username: ${MILLRACE_NOT_SET:-a}\n    sasl_password: ${MILLRACE_NOT_SET}\n"
                      "    properties: [{name: socket.keepalive.enable, value: 'true'}]\n")
    for command in (["aggregate", "--once"], ["maintain"], ["query", "SELECT 1"]):
        done = run(*command, "--config", config, "--data", serve.data_dir, check=False)
        assert done.returncode == 0, (command, done.stderr)
    for command in (["ingest"], ["config", "check"]):
        done = run(*command, *([] if command[0] == "config" else ["--config"]), config, check=False)
        assert done.returncode in (1, 2), command
        assert f"{config}:2:18: api_keys[0].sha256_file: opening /nowhere/shop" in done.stderr
        assert "MILLRACE_NOT_SET is not set" in done.stderr
    assert "is fine" in run("config", "check", "--without-secrets", config).stdout
    done = run("write", "--config", config, check=False)
    assert done.returncode == 2 and "MILLRACE_NOT_SET is not set" in done.stderr
    assert "nowhere" not in done.stderr


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_send_takes_each_format(start, tmp_path, compression):
    server = start()
    (tmp_path / "a.json").write_text('[{"ts":1767323045,"path":"/1"},\n {"ts":1767323045,"path":"/2"}]')
    (tmp_path / "b.ndjson").write_text('{"ts":1767323045,"path":"/3"}\n{"nothing":1}\n')
    (tmp_path / "c.csv").write_text('ts,path\n1767323045,/4\n')
    done = run("send", tmp_path / "a.json", tmp_path / "b.ndjson", tmp_path / "c.csv", "--to",
               server.url, "--compression", compression)
    assert "4 accepted, 1 rejected" in done.stdout
    server.stop()
    assert sorted(row["path"] for row in read_everywhere(server.access_logs)) == ["/1", "/2", "/3", "/4"]


def test_send_says_what_it_could_not_deliver(tmp_path):
    log = tmp_path / "log"
    log.write_text(run("generate", "--records", 3).stdout)
    done = run("send", log, "--to", "http://127.0.0.1:9", "--retry-for", "0", check=False)
    assert done.returncode == 1
    assert "3 not delivered" in done.stdout
    missing = run("send", tmp_path / "none", "--to", "http://127.0.0.1:9", check=False)
    assert missing.returncode == 1 and "none: No such file" in missing.stderr


def test_dead_letters_are_replayed_once(start):
    """However often: what is accepted is there once, and what stays bad is one dead letter."""
    server = start({"ingest.path_size_max": "4B"})
    server.post([{"ts": 1767323045, "path": "/longer"}, {"ts": 1767323045, "path": "/longer"},
                 {"ts": 1767323045}])
    server.stop()
    server.configure({"writer.flush_idle": "100ms", "ingest.path_size_max": "2KiB"})
    server.start()

    def replay():
        return run("dead-letters", "replay", "--data", server.data_dir, "--to", server.url).stdout

    assert "sent 3 dead letters again: 2 accepted, 1 rejected again" in replay()
    server.post([{"path": "/another/one"}])
    server.stop()
    server.configure({"writer.dedupe_window": "0s", "ingest.path_size_max": "2KiB"})
    server.start()
    for _ in range(2):
        assert "sent 2 dead letters again: 0 accepted, 2 rejected again" in replay()
    server.stop()
    assert [row["path"] for row in read_everywhere(server.access_logs)] == ["/longer"] * 2
    assert len(read_everywhere(server.dead_letters)) == 4


def test_send_goes_on_with_the_other_files(start, tmp_path):
    server = start()
    (tmp_path / "good").write_text(run("generate", "--records", 3).stdout)
    done = run("send", tmp_path / "none", tmp_path / "good", "--to", server.url, check=False)
    assert done.returncode == 1 and "3 accepted" in done.stdout
    assert "none: No such file" in done.stderr


def test_send_says_at_once_that_nobody_answers(tmp_path):
    log = tmp_path / "log"
    log.write_text(run("generate", "--records", 3).stdout)
    sender = subprocess.Popen([BINARY, "send", log, "--to", "http://127.0.0.1:9", "--retry-for", "1h"],
                              stderr=subprocess.PIPE, text=True)
    assert "trying again for 1h" in sender.stderr.readline()
    sender.terminate()
    assert sender.wait(HANG_SECONDS) == 1, "what was read is tried once more, then given up"


def test_send_stops_while_its_input_is_quiet(start):
    server = start()
    sender = subprocess.Popen([BINARY, "send", "-", "--to", server.url, "--quiet"],
                              stdin=subprocess.PIPE)
    sender.stdin.write(run("generate", "--records", 3).stdout.encode())
    sender.stdin.flush()
    wait_until("all came", lambda: server.metric("millrace_ingest_records_accepted_total") == 3)
    sender.terminate()
    assert sender.wait(HANG_SECONDS) == 0
    sender.stdin.close()


def test_healthcheck(start):
    server = start()
    run("healthcheck", "--url", server.url)
    run("healthcheck", "--url", server.admin_url)
    server.kill()
    assert run("healthcheck", "--url", "http://127.0.0.1:9", check=False).returncode == 1


@pytest.mark.parametrize("format, want", [
    ("csv", 'a,b\r\n1,x\r\n'), ("json", '[\n{"a":1,"b":"x"}\n]\n'), ("ndjson", '{"a":1,"b":"x"}\n'),
    ("table", "a  b\n-  -\n1  x\n(1 row)\n")])
def test_query_formats(start, format, want):
    server = start()
    server.stop()
    done = run("query", "--data", server.data_dir, "--format", format, "SELECT 1 AS a, 'x' AS b",
               stdin=b"")
    assert done.stdout.decode() == want
