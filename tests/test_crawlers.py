"""Crawlers are told by their user agents: in the table, in the sums, and as the user's own list says."""
import json

import pytest

from harness.process import query, run
from harness.readers import read_everywhere
from harness.rollups import differences
from harness.waiting import wait_until

GPTBOT = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"
FIREFOX = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
OURS = "Our probe/1.0"


def post(server, *user_agents):
    answer = server.post([{"timestamp": "2026-01-02T03:04:05Z", "path": "/", "userAgent": user_agent}
                          for user_agent in user_agents])
    assert answer.json["accepted"] == len(user_agents)


def bots(server):
    return query(server.data_dir, "SELECT user_agent, bot, bot_operator, bot_category FROM access_logs ORDER BY ALL")


def test_crawlers_have_names_operators_and_categories(start):
    server = start()
    post(server, GPTBOT, GPTBOT, FIREFOX)
    wait_until("the summary is there",
               (server.data_dir / "analytics/2026-01-02/summary_03.json").exists, server.log_tail)
    known = {"user_agent": GPTBOT, "bot": "GPTBot", "bot_operator": "OpenAI", "bot_category": "ai_crawler"}
    browser = {"user_agent": FIREFOX, "bot": None, "bot_operator": None, "bot_category": None}
    assert bots(server) == [browser, known, known]
    server.stop()
    rows = read_everywhere(server.access_logs)
    assert len({row["bot_list"] for row in rows}) == 1 and rows[0]["bot_list"], "also of those who are none"
    assert not differences(server.data_dir)
    assert query(server.data_dir, "SELECT bot, bot_category, requests FROM rollup_by_bot ORDER BY requests") == [
        {"bot": None, "bot_category": None, "requests": 1},
        {"bot": "GPTBot", "bot_category": "ai_crawler", "requests": 2}]
    summary = json.loads((server.data_dir / "analytics/2026-01-02/summary_03.json").read_text())
    assert summary["requestsPerBot"] == {"GPTBot": 2, "(none)": 1}


def with_list(tmp_path, crawlers):
    file = tmp_path / "crawlers.json"
    file.write_text(json.dumps({"version": "mine", "crawlers": crawlers}))
    return file


def test_a_list_of_ones_own_wins(start, tmp_path):
    own = {"name": "Our probe", "operator": "us", "category": "monitoring", "patterns": ["^Our probe/"]}
    none = {"name": "GPTBot", "operator": None, "category": "other", "patterns": []}
    server = start({"writer.crawler_list_file": str(with_list(tmp_path, [own, none]))})
    post(server, GPTBOT, OURS)
    wait_until("the records are in the table", lambda: len(bots(server)) == 2, server.log_tail)
    assert [row["bot"] for row in bots(server)] == [None, "Our probe"]
    (version,) = query(server.data_dir, "SELECT DISTINCT bot_list FROM access_logs")
    assert version["bot_list"].endswith("+mine")


@pytest.mark.parametrize("pattern, message", [("(", "the pattern"), ("", "it is empty")])
def test_a_list_that_is_wrong_is_told(tmp_path, pattern, message):
    file = with_list(tmp_path, [{"name": "x", "operator": None, "category": "other", "patterns": [pattern]}])
    config = tmp_path / "config.yaml"
    config.write_text(f"data: {tmp_path}/data\nwriter:\n  crawler_list_file: {file}\n")
    for command in (["config", "check", config], ["serve", "--config", config]):
        done = run(*command, check=False)
        assert done.returncode != 0 and str(file) in done.stderr and message in done.stderr
    run("config", "check", "--without-secrets", config)
