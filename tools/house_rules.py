#!/usr/bin/env python3
"""Checks limits on files and functions, and that third-party APIs stay in their folders.

Usage: house_rules.py FILE ...   Exceptions are lines "PATH RULE  why" in tools/tidy_waivers.
"""
import pathlib
import re
import sys

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
LINE_LENGTH_MAX = 100

# An #include of the left side may stand only in the folders on the right.
OWNERS = {
    r"<arrow/filesystem/": ["src/store/"],
    r"<arrow/(?!filesystem/|status)|<parquet/": ["src/columnar/", "bench/"],
    r"<arrow/status": ["src/columnar/", "src/store/"],
    r"<pugixml": ["src/store/"],
    r"<duckdb": ["src/sql/"],
    r"<boost/": ["src/http/", "bench/"],
    r"<curl/": ["src/http_client/"],
    r"<re2/": ["src/crawlers/"],
    r"<simdjson": ["src/record/", "bench/"],
    r"<yaml-cpp": ["src/base/"],
    r"<spdlog": ["src/base/"],
    r"<prometheus": ["src/base/"],
    r"<librdkafka/": ["src/journal/", "bench/"],
    r"<CLI/": ["apps/"],
    r"<openssl/": ["src/base/", "src/ingest/", "src/writer/", "src/shipper/", "apps/"],
    r"<zlib|<zstd": ["src/http/", "src/shipper/", "fuzz/"],
}


def function_lengths(lines):
    """Yields (first line number, length) of each top-level block that looks like a function."""
    start = None
    for number, line in enumerate(lines, 1):
        if line and not line[0].isspace() and line.rstrip().endswith("{"):
            if re.match(r"(namespace|class|struct|enum|union|extern|template)\b", line) or "= {" in line:
                continue
            start = number
        elif line.startswith("}") and start is not None:
            yield start, number - start + 1
            start = None


def problems(path):
    text = pathlib.Path(path).read_text(encoding="utf-8")
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield "file_lines", 1, f"{len(lines)} lines, more than {FILE_LINES_MAX}"
    for number, line in enumerate(lines, 1):
        # A raw string cannot be broken without changing it.
        if len(line) > LINE_LENGTH_MAX and '"' not in line:
            yield "line_length", number, f"{len(line)} columns, more than {LINE_LENGTH_MAX}"
        for pattern, folders in OWNERS.items():
            if re.match(rf"#include ({pattern})", line) and not path.startswith(tuple(folders)):
                yield "owner", number, f"{line.strip()} belongs in {', '.join(folders)} only"
    for start, length in function_lengths(lines) if path.endswith(".cc") else ():
        if length > FUNCTION_LINES_MAX:
            yield "function_lines", start, f"{length} lines, more than {FUNCTION_LINES_MAX}"
    if path.endswith(".h") and "#pragma once" not in text:
        yield "pragma_once", 1, "no #pragma once"


def main(paths):
    waivers = set()
    for line in pathlib.Path("tools/tidy_waivers").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            waivers.add(tuple(line.split()[:2]))
    found = 0
    for path in paths:
        for rule, number, message in problems(path):
            if (path, rule) not in waivers:
                print(f"{path}:{number}: {rule}: {message}")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
