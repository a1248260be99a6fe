"""The records that all measurements use, made from a seed: about 197 bytes each as JSON."""
import datetime
import itertools
import random

SEED = 1
PATHS = 5_000
USER_AGENTS = 300
BEGIN = datetime.datetime(2026, 2, 1, tzinfo=datetime.timezone.utc)
SPAN_MS = 24 * 3600 * 1000

_CRAWLERS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; "
    "+http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; OAI-SearchBot/1.0; "
    "+https://openai.com/searchbot)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; "
    "+https://openai.com/bot",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; PerplexityBot/1.0; "
    "+https://perplexity.ai/perplexitybot)",
    "CCBot/2.0 (https://commoncrawl.org/faq/)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "curl/8.5.0",
    "python-requests/2.32.3",
)

_BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{chrome}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{chrome}.0.0.0 Safari/537.36 Edg/{chrome}.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{chrome}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{chrome}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{chrome}.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) "
    "SamsungBrowser/{samsung}.0 Chrome/{chrome}.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{firefox}.0) Gecko/20100101 Firefox/{firefox}.0",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:{firefox}.0) Gecko/20100101 Firefox/{firefox}.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS {ios}_{minor} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/{ios}.{minor} Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPad; CPU OS {ios}_{minor} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/{ios}.{minor} Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/{ios}.{minor} Safari/605.1.15",
)

_WORDS = ("getting", "started", "with", "log", "pipelines", "fast", "query", "daily", "report", "summer",
          "release", "notes", "garden", "tools", "scale", "crawlers", "summary", "archive")
_SECTIONS = ("blog", "docs", "products", "images", "assets", "news", "guides", "api", "users", "tags")


def user_agents():
    """The crawlers, and browsers of all versions that are in use."""
    made = {}
    for number in itertools.count():
        for form in _BROWSERS:
            if len(made) + len(_CRAWLERS) == USER_AGENTS:
                return [*_CRAWLERS, *made]
            made[form.format(chrome=110 + number, firefox=110 + number, samsung=20 + number,
                             ios=15 + number // 8, minor=number % 8)] = None


def paths(rng):
    made = []
    for number in range(PATHS):
        words = "-".join(rng.choice(_WORDS) for _ in range(rng.choice((1, 1, 2, 2, 3))))
        made.append(f"/{rng.choice(_SECTIONS)}/{words}-{number}")
    return made


def records(count, seed=SEED, day=0):
    """Yields JSON texts, their times ascending over one day: BEGIN's, or as many days later."""
    rng = random.Random(seed)
    all_paths, agents = paths(rng), user_agents()
    path_weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(PATHS)))
    rng.shuffle(agents)
    agent_weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(USER_AGENTS)))
    step = SPAN_MS / count
    chunk = 10_000
    date = (BEGIN + datetime.timedelta(days=day)).strftime("%Y-%m-%dT")
    for start in range(0, count, chunk):
        size = min(chunk, count - start)
        for index, path, agent in zip(range(start, start + size),
                                      rng.choices(all_paths, cum_weights=path_weights, k=size),
                                      rng.choices(agents, cum_weights=agent_weights, k=size)):
            ms = int((index + rng.random()) * step)
            seconds, ms = divmod(ms, 1000)
            minutes, seconds = divmod(seconds, 60)
            hours, minutes = divmod(minutes, 60)
            yield (f'{{"timestamp":"{date}{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z",'
                   f'"path":"{path}","userAgent":"{agent}"}}')


def bodies(batch, count):
    """`count` JSON arrays of `batch` records each."""
    made = records(batch * count)
    return ["[" + ",".join(itertools.islice(made, batch)) + "]" for _ in range(count)]
