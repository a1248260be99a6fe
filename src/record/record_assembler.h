#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time_text.h"
#include "record/decoder.h"
#include "record/fields.h"
#include "record/record.h"

namespace millrace::record {

// Why a record is refused.
struct Fault {
  std::string field;
  std::string reason;
};

// Makes one valid record after the other out of named values, as whatever format brings them: finds
// the columns, converts, checks, redacts. Values are borrowed until finish(). One thread.
class RecordAssembler {
 public:
  // `options` must outlive the assembler.
  explicit RecordAssembler(const DecoderOptions& options);

  // Starts a batch: `batch` and what it says of site and time are used until the next one.
  void start_batch(const Batch& batch, bool site_is_fixed);

  void start_record();
  void add_text(std::string_view name, std::string_view text);
  // `digits`: a number by JSON's grammar.
  void add_number(std::string_view name, std::string_view digits);
  // An object, array or truth value, as JSON text.
  void add_json(std::string_view name, std::string_view json);

  // Keeps a copy of `text` until the next start_record(), for values that are nobody else's.
  std::string_view keep(std::string text);

  // The record of what was added, or what is wrong with it. Valid until the next start_record().
  const Record* finish(Fault& fault);

 private:
  enum class Kind : std::uint8_t { none, text, number, json };
  struct Value {
    Kind kind = Kind::none;
    std::string_view text;
    std::string_view name;
    const Alias* alias = nullptr;
  };

  void add(std::string_view name, std::string_view text, Kind kind);
  void displace(const Value& value);
  bool take_texts(Fault& fault);
  bool take_timestamp(Fault& fault);
  bool take_path(Fault& fault);
  bool take_status(Fault& fault);
  bool take_bytes(Fault& fault);
  bool take_duration(Fault& fault);
  bool take_attributes(Fault& fault);
  bool check_day(Fault& fault);
  void protect_privacy();
  void protect_client_ip();
  void redact_parameters();
  std::string shown(std::string_view text) const;
  Value& value_of(Column column) { return values_[index_of(column)]; }

  const DecoderOptions& options_;
  const bool may_show_values_;  // In faults.
  const Batch* batch_ = nullptr;
  bool site_is_fixed_ = false;
  std::vector<Day> days_;  // Of the batch's accepted records.

  std::array<Value, column_count> values_;
  Attributes extra_;  // Fields that are no column.
  std::deque<std::string> kept_;
  Record record_;
};

// Times as clients write them: RFC 3339, Apache's "10/Oct/2000:13:55:36 -0700", or a number of
// seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by its size.
std::optional<Timestamp> parse_timestamp(std::string_view text);

}  // namespace millrace::record
