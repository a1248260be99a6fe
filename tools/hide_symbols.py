#!/usr/bin/env python3
"""Hides the bundled C symbols of a shared library from everyone who links it.

The Arrow wheel's libraries export the libcrypto and the simdjson that were linked into them. A
program that uses its own OpenSSL or simdjson would bind to those copies and crash, or worse, work
with half of each. Setting the visibility of the leaked symbols to STV_HIDDEN keeps the library whole
and takes the names out of the dynamic linker's sight.

Usage: hide_symbols.py LIBRARY [LIBRARY ...]   (edits in place, prints one line per library)
ELF layout: System V ABI, chapter 4 (symbol table) and the ELF-64 object file format.
"""
import struct
import sys

SHT_DYNSYM = 11
STV_HIDDEN = 2


def is_leak(name: bytes) -> bool:
    """A symbol that is not Arrow's own C or C++ interface."""
    # Arrow's own functions that take a type of simdjson are what its libraries call each other by.
    if b"simdjson" in name:
        return b"5arrow" not in name and b"7parquet" not in name
    return not name.startswith((b"_Z", b"arrow_", b"Arrow"))


def sections(data: bytearray):
    (table_offset,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, count = struct.unpack_from("<HH", data, 0x3A)
    for index in range(count):
        yield struct.unpack_from("<IIQQQQIIQQ", data, table_offset + index * entry_size)


def hide(path: str) -> int:
    with open(path, "rb") as file:
        data = bytearray(file.read())
    if data[:5] != b"\x7fELF\x02":
        sys.exit(f"{path}: not a 64-bit ELF file")
    headers = list(sections(data))
    hidden = 0
    for _, kind, _, _, offset, size, link, _, _, entry_size in headers:
        if kind != SHT_DYNSYM:
            continue
        names = headers[link][4]
        for position in range(offset, offset + size, entry_size):
            name_offset, _, other, section = struct.unpack_from("<IBBH", data, position)
            if section == 0 or other & 3:  # Undefined here, or hidden already.
                continue
            start = names + name_offset
            if is_leak(bytes(data[start : data.index(b"\0", start)])):
                data[position + 5] = (other & ~3) | STV_HIDDEN
                hidden += 1
    with open(path, "wb") as file:
        file.write(data)
    return hidden


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for library in sys.argv[1:]:
        print(f"{library}: hid {hide(library)} symbols")
