#!/usr/bin/env python3
"""Writes a C++ source that holds the files of a folder, each compressed by gzip.

Usage: tools/embed_files.py FOLDER OUTPUT.cc

It defines what src/analytics/web_files.h declares. The same files give the same source.
"""
import gzip
import sys
from pathlib import Path


def literal(data, width=100):
    text = "".join(f"\\x{byte:02x}" for byte in data)
    return "\n".join(f'    "{text[at:at + 4 * width]}"' for at in range(0, len(text), 4 * width))


def main():
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    entries = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        data = gzip.compress(path.read_bytes(), 9, mtime=0)
        name = path.relative_to(folder).as_posix()
        entries.append(f'    {{"/{name}", std::string_view(\n{literal(data)},\n    {len(data)})}},\n')
    output.write_text('#include "analytics/web_files.h"\n\n'
                      "namespace millrace::analytics {\n\n"
                      "const std::vector<WebFile>& web_files() {\n"
                      "  static const std::vector<WebFile> files = {\n"
                      f"{''.join(entries)}  }};\n"
                      "  return files;\n}\n\n}  // namespace millrace::analytics\n")


if __name__ == "__main__":
    main()
