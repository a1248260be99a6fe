#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

#include "record/batch_sink.h"

namespace millrace::record {

// Reads JSON bodies with simdjson's On-Demand parser. Reuses its buffers; one thread.
class JsonReader {
 public:
  // An array of objects, one object, or {"records":[...]}. `body` must have simdjson's padding
  // behind its `size`, as spare capacity.
  std::optional<DecodeFailure> read(const std::string& body, std::size_t begin,
                                    const DecoderOptions& options, BatchSink& sink);

  // JSON lines; a line that does not parse is one reject.
  std::optional<DecodeFailure> read_lines(const std::string& body, std::size_t begin,
                                          const DecoderOptions& options, BatchSink& sink);

 private:
  using Document = simdjson::ondemand::document;
  using Object = simdjson::ondemand::object;
  using Array = simdjson::ondemand::array;
  using Value = simdjson::ondemand::value;
  using Field = simdjson::ondemand::field;

  // False: failure_ says why reading stopped.
  bool read_array(Array array);
  bool read_element(Value element);
  bool read_document_object();
  simdjson::error_code add_members(Object object);
  simdjson::error_code add_member(std::string_view name, Value value);
  simdjson::error_code append_json(Value value, std::string& out, int depth);
  simdjson::error_code read_string(Value value, std::string_view& text);
  simdjson::error_code read_name(Field& field, std::string_view& name);
  simdjson::error_code unescape(std::string_view inside, std::string_view& text);
  void end_record(std::string_view text);
  bool fail_malformed(simdjson::error_code error);
  bool is_at_end();
  std::string_view text_from(const char* begin);

  simdjson::ondemand::parser parser_;
  Document document_;
  const DecoderOptions* options_ = nullptr;
  BatchSink* sink_ = nullptr;
  const char* body_begin_ = nullptr;
  const char* body_end_ = nullptr;
  std::optional<DecodeFailure> failure_;
  bool is_too_deep_ = false;  // The record that is being read.
};

}  // namespace millrace::record
