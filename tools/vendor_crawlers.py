#!/usr/bin/env python3
"""Makes src/crawlers/crawlers.json and its test's examples anew from the two lists named below.

Run by hand when one of them has a new version: set it and its checksum here, run, look at the difference, and
write the date into DATE. Nothing is fetched when Millrace is built or runs.

Usage: tools/vendor_crawlers.py
"""
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
DATE = "2026-11-28"

# Patterns, tags and examples of crawlers of all kinds: https://github.com/monperrus/crawler-user-agents, MIT.
PATTERNS = ("crawler-user-agents", "1.60.0", "355ff319e17919f1738122752c8036d605d0e1bcba81de31e84377d12b286d79")
# Operators and purposes of those that matter to AI, by their operators' own documentation: data CC0-1.0.
OPERATORS = ("ai-crawler-index", "1.3.0", "79561305b5c0b1ed07bf62edf9af656faa3b80ed549fe0ae8b4e0ce274a5db3f")

# The first of a crawler's tags that is here says what it is.
CATEGORY_OF_TAG = {"ai-crawler": "ai_crawler", "search-engine": "search", "social-preview": "social_preview",
                   "feed-reader": "feed", "monitoring": "monitoring", "scanner": "security", "seo": "seo"}
CATEGORY_OF_PURPOSE = {"ai-training": "ai_crawler", "dataset": "ai_crawler", "ai-search": "ai_search",
                       "user-fetch": "ai_assistant", "search": "search", "seo": "seo", "preview": "social_preview",
                       "archive": "other", "tool": "other"}
# Where the lists say less than the operator does.
CORRECTIONS = {
    "Amazonbot": {"category": "ai_crawler"},
    "Applebot": {"category": "ai_search"},
    "DuckAssistBot": {"category": "ai_assistant"},
    "Google-CloudVertexBot": {"category": "ai_crawler"},
    "GoogleOther": {"category": "other"},
}
# What both lists lack, by the operators' own documentation.
ADDITIONS = {
    "OAI-AdsBot": {"operator": "OpenAI", "category": "other", "patterns": ["OAI-AdsBot"]},
}
# Sites that write about crawlers of others.
NO_OPERATORS = re.compile(r"(knownagents|useragents|useragentstring|blogspot|stackoverflow|github|wikipedia|archive|webmasterworld|"
                          r"udger|whatismybrowser|developers\.whatismybrowser|botreports|datadome|plagiarism)\.")


def checked(archive, checksum):
    data = archive.read_bytes()
    if hashlib.sha256(data).hexdigest() != checksum:
        sys.exit(f"{archive.name}: its checksum is {hashlib.sha256(data).hexdigest()}, not {checksum}")
    return io.BytesIO(data)


def fetch_patterns(folder):
    name, version, checksum = PATTERNS
    subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True, capture_output=True)
    with tarfile.open(fileobj=checked(folder / f"{name}-{version}.tgz", checksum)) as archive:
        return json.load(archive.extractfile("package/crawler-user-agents.json"))


def fetch_operators(folder):
    name, version, checksum = OPERATORS
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder,
                    f"{name}=={version}"], check=True, capture_output=True)
    with zipfile.ZipFile(checked(next(folder.glob("ai_crawler_index-*.whl")), checksum)) as archive:
        return json.loads(archive.read("ai_crawler_index/data.json"))["crawlers"]


def name_of(entry):
    """What the pattern finds in the first example, without the punctuation that ends it."""
    for instance in entry["instances"]:
        found = re.search(entry["pattern"], instance)
        if found:
            return found[0].strip(" /;:,()-").split("/")[0] or entry["pattern"]
    return re.sub(r"\\(.)", r"\1", entry["pattern"]).strip(" /^$")


def operator_of(url):
    """The domain that documents the crawler, which is its operator's for nearly all."""
    host = (urlsplit(url or "").hostname or "").removeprefix("www.")
    return None if not host or NO_OPERATORS.search(host) else host


def main():
    with tempfile.TemporaryDirectory() as folder:
        entries, operators = fetch_patterns(Path(folder)), fetch_operators(Path(folder))
    crawlers = {}
    examples = []
    for entry in entries:
        # Each piece of the language that RE2 and Python read alike.
        pattern = entry["pattern"].replace(r"[\s\S]*", ".*").replace(r"\/", "/")
        crawler = crawlers.setdefault(name_of(entry), {"operator": operator_of(entry.get("url")),
                                                       "category": "other", "patterns": []})
        crawler["patterns"].append(pattern)
        crawler["category"] = next((category for tag, category in CATEGORY_OF_TAG.items() if tag in entry["tags"]),
                                   "other")
        examples += entry["instances"]
    for known in operators:
        token = known["ua"]
        if "(" in token:
            continue  # A name for robots.txt; no crawler sends it.
        listed_as = next((name for name in crawlers if name.lower() == token.lower()), None)
        if listed_as is None:
            crawler = {"patterns": [re.escape(token).replace(r"\ ", " ").replace(r"\-", "-")]}
            examples.append(f"Mozilla/5.0 (compatible; {token}/1.0)")
        else:
            crawler = crawlers.pop(listed_as)
        crawlers[known["name"]] = crawler
        crawler["operator"] = known["operator"]
        crawler["category"] = CATEGORY_OF_PURPOSE[known["category"]]
    for name, correction in CORRECTIONS.items():
        crawlers[name].update(correction)
    for name, addition in ADDITIONS.items():
        assert name not in crawlers, f"{name} is in the lists now"
        crawlers[name] = addition
    listed = [{"name": name, "operator": crawler["operator"], "category": crawler["category"],
               "patterns": crawler["patterns"]} for name, crawler in sorted(crawlers.items())]
    head = {"version": DATE, "sources": [f"{PATTERNS[0]} {PATTERNS[1]} (MIT, (c) 2017 Martin Monperrus)",
                                         f"{OPERATORS[0]} {OPERATORS[1]} (CC0-1.0)"]}
    lines = ",\n".join(json.dumps(crawler, ensure_ascii=False) for crawler in listed)
    text = json.dumps(head, ensure_ascii=False)[:-1] + f', "crawlers": [\n{lines}\n]}}\n'
    json.loads(text)
    (ROOT / "src/crawlers/crawlers.json").write_text(text)
    (ROOT / "src/crawlers/testing").mkdir(exist_ok=True)
    (ROOT / "src/crawlers/testing/examples.txt").write_text(
        "".join(f"{example}\n" for example in sorted(set(examples))))


if __name__ == "__main__":
    main()
