"""The web page in a real browser: what a site owner sees is what SQL says.

Screenshots are left in build/screenshots.
"""
import hashlib
import re
from datetime import datetime, timezone

import pytest
from playwright.sync_api import expect, sync_playwright

from harness.process import ROOT, Millrace, query, run
from harness.waiting import HANG_SECONDS, wait_until

SCREENSHOTS = ROOT / "build/screenshots"
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
# It asks nobody outside of this machine.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
DAY = "?range=custom&from=2026-01-02T00:00:00.000Z&to=2026-01-03T00:00:00.000Z"


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=1000 * HANG_SECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens an address in a page of its own. Whatever a script or the browser complains about fails the test, and so
    does a request to any other host."""
    contexts, complaints = [], []

    def opener(url, width=1280, complains=False, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(1000 * HANG_SECONDS)
        contexts.append(context)
        page = context.new_page()
        host = re.match(r"https?://[^/]+/", url)[0]
        page.on("request", lambda request: None if request.url.startswith((host, "blob:")) else complaints.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if not complains:
            page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.goto(url)
        return page

    yield opener
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A day of traffic, and two records that were rejected."""
    folder = tmp_path_factory.mktemp("web")
    server = Millrace(folder, {"writer.flush_idle": "50ms"}).start()
    try:
        log = folder / "access.log"
        log.write_text(run("generate", "--records", 20_000, "--begin", "2026-01-02T00:00:00Z", "--seed", 5).stdout)
        run("send", log, "--to", server.url)
        server.post([{"timestamp": "2026-01-02T03:04:05Z", "path": "/slow", "duration_us": 2_500_000, "status": 404,
                      "user_agent": "curl/8", "site": "shop.example"},
                     {"timestamp": "soon", "path": "/bad"}, {"path": "<img src=x onerror=alert(1)>"}])
        wait_until("all is summed up", lambda: sql(server, "SELECT sum(requests) AS n FROM rollup_by_bot")[0]["n"] == 20_001,
                   server.log_tail)
        yield server
        server.stop()
    finally:
        server.kill()


def sql(server, statement):
    return query(server.data_dir, statement)


def loaded(page, times=1):
    """Waits until everything was asked for, at least so often."""
    page.wait_for_function("times => Number(document.body.dataset.loaded ?? 0) >= times", arg=times)
    return page


def screenshot(page, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def check_that_everybody_can_use(page):
    page.evaluate(AXE.read_text())
    problems = page.evaluate("axe.run().then(result => result.violations)")
    serious = [(it["id"], [node["html"] for node in it["nodes"]][:3]) for it in problems
               if it["impact"] in ("serious", "critical")]
    assert not serious


def key(name, secret, **more):
    return {"name": name, "sha256": hashlib.sha256(secret.encode()).hexdigest(), **more}


def log_in(page, secret):
    page.get_by_label("Key").fill(secret)
    page.get_by_role("button", name="Log in").click()


def fail(route):
    route.fulfill(status=503, json={"error": {"code": "unavailable", "message": "too many questions"}})


def number(text):
    return int(re.sub(r"\D", "", text))


def rows_of(page, panel):
    """The cells of a panel's table, as they are shown."""
    return [row.locator("th, td").all_inner_texts() for row in page.locator(f"#{panel} tbody tr").all()]


def totals(page):
    titles = page.locator("#totals .total-title").all_inner_texts()
    return dict(zip(titles, page.locator("#totals strong").all_inner_texts()))


def test_an_empty_server_says_how_to_send_the_first_batch(start, open_page):
    server = start()
    page = open_page(server.url + "/")
    expect(page.locator("#empty")).to_contain_text(f"curl -X POST {server.url}/logs")
    expect(page.locator("#empty")).to_contain_text(f"millrace send --to {server.url} access.log")
    expect(page.locator("#content")).to_be_hidden()
    screenshot(page, "empty")
    check_that_everybody_can_use(page)
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/first"})
    expect(page.locator("#accepted")).to_contain_text("/first")
    expect(page.locator("#empty")).to_be_hidden()


def test_the_numbers_are_those_of_sql(server, open_page):
    page = loaded(open_page(f"{server.url}/{DAY}"))
    sums = sql(server, "SELECT count(*) AS requests, count(*) FILTER (status >= 500) AS errors, "
                       "count(*) FILTER (bot_category LIKE 'ai_%') AS ai, count(*) FILTER (bot IS NULL) AS people FROM access_logs")[0]
    shown = totals(page)
    assert [number(shown[name]) for name in ("Requests", "Errors (5xx)", "AI", "People")] == [
        sums["requests"], sums["errors"], sums["ai"], sums["people"]]
    for panel, column in (("paths", "path"), ("agents", "user_agent"), ("referrers", "coalesce(referrer, '(none)')")):
        expected = sql(server, f"SELECT {column} AS value, count(*) AS n FROM access_logs GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20")
        assert [(row[0], number(row[1])) for row in rows_of(page, panel)] == [(row["value"], row["n"]) for row in expected]
    expected = sql(server, "SELECT bot, count(*) AS n FROM access_logs WHERE bot IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20")
    assert [(row[0], number(row[3])) for row in rows_of(page, "crawlers")] == [(row["bot"], row["n"]) for row in expected]
    assert rows_of(page, "slow")[0][:2] == ["/slow", "2,500 ms"]
    page.locator("#series summary").click()
    by_hour = sql(server, "SELECT count(*) AS n FROM access_logs GROUP BY date_trunc('hour', timestamp) ORDER BY date_trunc('hour', timestamp)")
    assert [sum(number(cell) for cell in row[1:]) for row in rows_of(page, "series")] == [row["n"] for row in by_hour]
    assert page.locator("#series canvas").get_attribute("aria-label").startswith("Requests over time: People ")
    screenshot(page, "day")


def test_rejected_records_are_told_with_their_reasons_and_never_taken_for_html(server, open_page):
    page = loaded(open_page(f"{server.url}/{DAY}"))
    expect(page.locator("#rejected")).to_contain_text("is not a time")
    expect(page.locator("#rejected")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("#rejected img").count() == 0


def test_a_click_drills_down_and_the_address_keeps_it(server, open_page):
    page = loaded(open_page(f"{server.url}/{DAY}"))
    page.locator("#crawlers").get_by_role("button", name="Show only GPTBot").click()
    loaded(page, 2)
    assert "filter=bot%3DGPTBot" in page.url
    expected = sql(server, "SELECT count(*) AS n FROM access_logs WHERE bot = 'GPTBot'")[0]["n"]
    assert number(totals(page)["Requests"]) == expected
    page.reload()
    loaded(page)
    assert number(totals(page)["Requests"]) == expected
    expect(page.locator("#chips")).to_contain_text("bot=GPTBot")
    page.locator("#filter").fill("status=2xx path^=/blog/")
    page.get_by_role("button", name="Apply").click()
    loaded(page, 2)
    assert number(totals(page)["Requests"]) == sql(
        server, "SELECT count(*) AS n FROM access_logs WHERE bot = 'GPTBot' AND status // 100 = 2 AND path LIKE '/blog/%'")[0]["n"]
    page.go_back()
    loaded(page, 3)
    assert number(totals(page)["Requests"]) == expected
    page.get_by_role("button", name="Remove the filter bot=GPTBot").click()
    loaded(page, 4)
    assert number(totals(page)["Requests"]) == 20_001


def test_a_site_and_a_bar_of_the_chart_narrow_it_down(server, open_page):
    page = loaded(open_page(f"{server.url}/{DAY}"))
    page.get_by_label("Site").select_option("shop.example")
    loaded(page, 2)
    assert "site=shop.example" in page.url and number(totals(page)["Requests"]) == 1
    page.get_by_label("Site").select_option("All sites")
    loaded(page, 3)
    box = page.locator("#series canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    loaded(page, 4)
    hour = re.search(r"from=2026-01-02T(\d\d)", page.url)[1]
    assert number(totals(page)["Requests"]) == sql(
        server, f"SELECT count(*) AS n FROM access_logs WHERE hour(timestamp) = {int(hour)}")[0]["n"]


def test_csv_is_downloaded(server, open_page):
    page = loaded(open_page(f"{server.url}/{DAY}"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download Top paths as CSV").click()
    assert download.value.suggested_filename == "millrace-paths.csv"
    lines = download.value.path().read_text().splitlines()
    paths = sql(server, "SELECT count(DISTINCT path) AS n FROM access_logs")[0]["n"]
    assert lines[0] == "value,requests,errors,bytes" and len(lines) == 1 + min(paths, 1000) > 21


@pytest.mark.parametrize("width, scheme", [(1280, "light"), (1280, "dark"), (360, "light"), (2560, "dark")])
def test_it_fits_every_screen_and_everybody_can_use_it(server, open_page, width, scheme):
    page = loaded(open_page(f"{server.url}/{DAY}", width=width, color_scheme=scheme))
    screenshot(page, f"{scheme}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is cut off at the side"
    check_that_everybody_can_use(page)


def test_the_keyboard_reaches_everything(server, open_page):
    page = loaded(open_page(f"{server.url}/{DAY}"))

    def tab_to(label):
        for _ in range(300):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent") == label:
                return
        raise AssertionError(f"{label} is not reached")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    tab_to("The same as a table")
    page.keyboard.press("Enter")
    tab_to("Show only 01-02 03:00")
    page.keyboard.press("Enter")
    loaded(page, 2)
    assert "from=2026-01-02T03" in page.url
    tab_to("Show only /robots.txt")
    page.keyboard.press("Enter")
    loaded(page, 3)
    assert "filter=path%3D%2Frobots.txt" in page.url


def test_a_question_that_fails_shows_no_other_numbers(server, open_page):
    page = loaded(open_page(f"{server.url}/{DAY}", complains=True))
    page.locator("#filter").fill("shoe=1")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#load-error")).to_contain_text('"shoe" is not a field')
    expect(page.locator("#panels")).to_be_hidden()
    expect(page.locator("#totals .total")).to_have_count(0)
    page.get_by_role("button", name="Remove the filter shoe=1").click()
    expect(page.locator("#panels")).to_be_visible()
    expect(page.locator("#load-error")).to_be_hidden()


def test_what_failed_shows_no_rows_and_recovers_by_itself(server, open_page):
    page = loaded(open_page(f"{server.url}/{DAY}", complains=True))
    expect(page.locator("#crawlers tbody tr")).not_to_have_count(0)
    page.route(re.compile("/api/v1/(crawlers|timeseries)"), fail)
    page.locator("#filter").fill("kind=ai")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#crawlers .problem")).to_have_text("too many questions")
    expect(page.locator("#crawlers tbody tr")).to_have_count(0)
    expect(page.locator("#series canvas")).to_have_count(0)
    expect(page.locator("#paths tbody tr")).not_to_have_count(0)
    page.unroute_all()
    loaded(page, 2)
    expect(page.locator("#crawlers")).to_contain_text("GPTBot")
    expect(page.locator("#crawlers .problem")).to_be_hidden()
    expect(page.locator("#series canvas")).to_be_visible()
    page.route(re.compile("/api/v1/summary"), fail)
    page.get_by_role("button", name="Remove the filter kind=ai").click()
    expect(page.locator("#load-error")).to_have_text("too many questions")
    expect(page.locator("#panels")).to_be_hidden()
    page.unroute_all()
    loaded(page, 3)
    assert number(totals(page)["Requests"]) == 20_001
    expect(page.locator("#load-error")).to_be_hidden()


def test_a_range_that_is_none_is_told_and_changes_nothing(server, open_page):
    page = loaded(open_page(f"{server.url}/{DAY}"))
    page.locator("#from").fill("2026-01-04T00:00")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#load-error")).to_have_text("The start must be before the end.")
    assert page.url.endswith(DAY) and number(totals(page)["Requests"]) == 20_001
    page.goto(f"{server.url}/?range=custom&from=nonsense")
    loaded(page)
    expect(page.locator("#range")).to_have_value("24h")
    expect(page.locator("#custom-range")).to_be_hidden()


def test_time_passes_where_nothing_new_comes(server, open_page):
    page = open_page(f"{server.url}/?range=1h")
    page.clock.install()
    page.reload()
    loaded(page)
    with page.expect_request(re.compile("/api/v1/summary")) as question:
        page.clock.fast_forward("02:00:00")
    asked_until = datetime.fromisoformat(re.search("to=([^&]+)", question.value.url)[1].replace("%3A", ":"))
    assert (asked_until - datetime.now(timezone.utc)).total_seconds() > 3600


def test_new_records_come_by_themselves_and_leave_the_reader_where_he_is(start, open_page):
    server = start()
    server.post([{"timestamp": "2026-01-02T03:04:05Z", "path": f"/{number:02}", "site": "a.example"} for number in range(30)])
    page = loaded(open_page(f"{server.url}/{DAY}"))
    page.locator("#paths").get_by_role("button", name="Show only /05").focus()
    page.locator("#paths .scroll").evaluate("element => element.scrollTo(0, 90)")
    page.locator("#from").fill("2026-01-02T01:00")
    page.locator("#paths").get_by_role("button", name="Show only /05").focus()
    server.post([{"timestamp": "2026-01-02T03:04:05Z", "path": f"/{number:02}", "site": "b.example"} for number in range(30)])
    expect(page.locator("#totals strong").first).to_have_text("60")
    loaded(page, 2)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Show only /05"
    assert page.locator("#paths .scroll").evaluate("element => element.scrollTop") == 90
    assert page.locator("#from").input_value() == "2026-01-02T01:00"
    page.get_by_label("Site").select_option("b.example")
    loaded(page, 3)
    expect(page.locator("#accepted")).to_contain_text("b.example")
    expect(page.locator("#accepted")).not_to_contain_text("a.example")


def test_where_keys_are_needed_the_page_asks_for_one(start, open_page):
    server = start({"api_keys": [key("s", "send", site="shop.example")], "query.keys": [key("r", "read")]})
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/secret"}, X_API_Key="send")
    # The browser itself complains of each 401.
    page = open_page(f"{server.url}/{DAY}", complains=True)
    expect(page.locator("#login")).to_be_visible()
    assert "/secret" not in page.content()
    screenshot(page, "login")
    log_in(page, "“quoted”")
    expect(page.locator("#login-error")).to_have_text("This is not a key.")
    log_in(page, "wrong")
    expect(page.locator("#login-error")).to_have_text("This key is not known.")
    check_that_everybody_can_use(page)
    log_in(page, "read")
    expect(page.locator("#paths")).to_contain_text("/secret")
    page.reload()
    expect(page.locator("#paths")).to_contain_text("/secret")
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("#login")).to_be_visible()
    expect(page.locator("#content")).to_be_hidden()


def test_nothing_of_one_key_is_shown_to_the_next(start, open_page):
    server = start({"query.keys": [key("all", "all"), key("one", "one", sites=["b.example"])]})
    now = datetime.now(timezone.utc).isoformat()
    server.post([{"timestamp": now, "path": f"/of-{site}", "site": f"{site}.example"} for site in "ab"])
    page = open_page(server.url + "/", complains=True)
    log_in(page, "all")
    loaded(page)
    page.get_by_label("Site").select_option("a.example")
    loaded(page, 2)
    expect(page.locator("#paths")).to_contain_text("/of-a")
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("#login")).to_be_visible()
    assert page.url == server.url + "/"
    held = []
    page.route(re.compile("/api/v1/summary"), lambda route: held.append(route))
    with page.expect_request(re.compile("/api/v1/summary")):
        log_in(page, "one")
    expect(page.locator("#content")).to_be_hidden()
    assert not re.search("a.example|/of-a", page.content())
    for route in held:
        route.continue_()
    page.unroute_all()
    loaded(page, 3)
    expect(page.locator("#paths")).to_contain_text("/of-b")
    expect(page.locator("#age")).to_contain_text("last record")
    assert page.locator("#site option").all_inner_texts() == ["All sites", "b.example"]
    assert not re.search("a.example|/of-a", page.content())


def test_where_nobody_may_read_the_page_says_so(start, open_page):
    server = start({"api_keys": [key("s", "send", site="shop.example")]})
    page = open_page(server.url + "/", complains=True)
    expect(page.locator("#denied")).to_contain_text("nobody may read here")
    expect(page.locator("#denied")).to_contain_text("millrace key create --read")
    expect(page.locator("#health")).to_have_text("Not allowed")
    for other in ("#content", "#login", "#empty", "#banner"):
        expect(page.locator(other)).to_be_hidden()
    screenshot(page, "denied")
    check_that_everybody_can_use(page)


def test_a_server_that_is_away_is_told_and_what_was_there_stays(start, open_page):
    server = start()
    server.post({"timestamp": "2026-01-02T03:04:05Z", "path": "/kept"})
    page = open_page(f"{server.url}/{DAY}", complains=True)
    expect(page.locator("#paths")).to_contain_text("/kept")
    server.kill()
    expect(page.locator("#banner")).to_contain_text("the server does not answer")
    expect(page.locator("#health")).to_have_text("Not reachable")
    expect(page.locator("#paths")).to_contain_text("/kept")
    screenshot(page, "away")
    check_that_everybody_can_use(page)


def test_the_first_load_is_small(server):
    size = 0
    for path in ("/", "/app.js", "/app.css", "/favicon.svg"):
        answer = server.get(path, Accept="text/html", Accept_Encoding="gzip")
        assert answer.status == 200 and answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        size += len(answer.body)
        again = server.get(path, Accept="text/html", If_None_Match=answer.headers["etag"])
        assert again.status == 304
    assert size < 200_000
