#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/metrics.h"
#include "base/testing/temp_directory.h"
#include "journal/embedded_journal.h"
#include "journal/segment_format.h"
#include "journal/testing/journal_world.h"

namespace millrace::journal {
namespace {

using Values = std::vector<std::string>;

Values whole_entries(std::size_t count) {
  Values values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(std::string(i * 7 % 40, 'v'));
  return values;
}

std::string header() {
  return encode_segment_header({"0f8fad5b-d9cb-469f-a165-70867728950e", Offset(0)});
}

std::string segment_of(const Values& values) {
  std::string bytes = header();
  Offset offset(0);
  for (const std::string& value : values) {
    EncodedEntry entry = encode_entry(entry_of(value));
    seal_entry(entry, offset);
    offset = offset.next();
    bytes += entry.front + entry.value;
  }
  return bytes;
}

// Opens a journal whose only segment holds `bytes`, reads it, goes on writing, and opens it again.
// Returns what could be read at first.
Values check_open(const std::string& bytes) {
  const TempDirectory directory;
  directory.write("00000000000000000000.log", bytes);
  directory.write("id", header());
  const EmbeddedJournalOptions options{.directory = directory.path()};
  Values before;
  {
    MetricsRegistry metrics;
    const auto journal = EmbeddedJournal::open(options, metrics);
    MR_ASSERT(journal.has_value());  // Damage is no reason not to start.
    auto values = read_values(**journal);
    MR_ASSERT(values.has_value());
    before = *std::move(values);
    MR_ASSERT(append_and_wait((*journal)->appender(), "appended").has_value());
  }
  MetricsRegistry metrics;
  const auto journal = EmbeddedJournal::open(options, metrics);
  MR_ASSERT(journal.has_value());
  const auto after = read_values(**journal);
  MR_ASSERT(after.has_value() && !after->empty() && after->back() == "appended");
  MR_ASSERT(std::equal(before.begin(), before.end(), after->begin(), after->end() - 1));
  return before;
}

// A good segment with one byte changed and its end cut off: the entries that neither touched are
// all there.
void check_damage(std::uint8_t where, std::uint8_t change, std::uint8_t cut) {
  const Values values = whole_entries(6);
  const std::string whole = segment_of(values);
  std::string bytes = whole.substr(0, whole.size() - cut * whole.size() / 512);
  const std::size_t damaged_at = where * bytes.size() / 256;
  bytes[damaged_at] = static_cast<char>(bytes[damaged_at] ^ change);
  const Values read = check_open(bytes);

  std::size_t begin = segment_header_bytes;
  std::size_t next = 0;
  for (const std::string& value : values) {
    const std::size_t end = begin + encoded_size_bytes(entry_of(value));
    const bool is_damaged = change != 0 && damaged_at >= begin && damaged_at < end;
    if (end <= bytes.size() && !is_damaged) {
      while (next < read.size() && read[next] == "!") ++next;
      MR_ASSERT(next < read.size() && read[next] == value);
      ++next;
    }
    begin = end;
  }
}

}  // namespace
}  // namespace millrace::journal

// Whatever a segment file holds, the journal opens, reads what is good, and goes on.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::journal;
  check_open({reinterpret_cast<const char*>(data), size});
  if (size >= 3) check_damage(data[0], data[1], data[2]);
  return 0;
}
