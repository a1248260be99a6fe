#include "record/json_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "record/json_text.h"
#include "record/utf8.h"

namespace millrace::record {
namespace {

using simdjson::error_code;
using simdjson::SUCCESS;
using simdjson::ondemand::json_type;

// Of the arrays and objects in a field's value. Deeper than any log record; bounds the stack.
constexpr int depth_max = 64;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

error_code read_null(simdjson::ondemand::value value) {
  bool is_null = false;
  if (const auto error = value.is_null().get(is_null)) return error;
  return is_null ? SUCCESS : simdjson::N_ATOM_ERROR;
}

// What stands between the quotes of a string that begins at `begin`, its escapes as they are.
std::string_view inside_of_string(const char* begin) {
  const char* end = begin;
  while (*end != '"') end += *end == '\\' ? 2 : 1;
  return {begin, static_cast<std::size_t>(end - begin)};
}

// Takes errors as they come; what is parsed is not kept.
class ErrorPlace final : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(nlohmann::json::binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(std::string&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    bytes_read = position;
    return false;
  }

  std::optional<std::size_t> bytes_read;  // With the one that is wrong.
};

// Where a text stops being JSON. simdjson does not know for every kind of error.
std::optional<std::size_t> find_malformed(std::string_view text) {
  if (const auto offset = find_invalid_utf8(text)) return offset;
  ErrorPlace place;
  nlohmann::json::sax_parse(text.begin(), text.end(), &place);
  if (!place.bytes_read) return std::nullopt;
  return std::min(std::max<std::size_t>(*place.bytes_read, 1) - 1, text.size());
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

error_code read_number(simdjson::ondemand::value value, std::string_view& digits) {
  digits = trimmed(value.raw_json_token());
  if (!is_json_number(digits)) return simdjson::NUMBER_ERROR;
  // Reads past it; a number that no double holds is still its text.
  double ignored = 0;
  const auto error = value.get_double().get(ignored);
  return error == simdjson::NUMBER_ERROR ? SUCCESS : error;
}

}  // namespace

std::optional<DecodeFailure> JsonReader::read(const std::string& body, std::size_t begin,
                                              const DecoderOptions& options, BatchSink& sink) {
  options_ = &options;
  sink_ = &sink;
  body_begin_ = body.data() + begin;
  body_end_ = body.data() + body.size();
  failure_.reset();
  const simdjson::padded_string_view view(body_begin_, body.size() - begin,
                                          body.capacity() - begin);
  if (trimmed({body_begin_, body.size() - begin}).empty()) {
    return DecodeFailure{DecodeFailure::Kind::malformed, "the body is empty", 0};
  }
  document_ = {};
  if (const auto error = parser_.iterate(view).get(document_)) {
    fail_malformed(error);
    return failure_;
  }
  json_type type{};
  if (const auto error = document_.type().get(type)) {
    fail_malformed(error);
    return failure_;
  }
  bool is_read = false;
  if (type == json_type::array) {
    Array array;
    const auto error = document_.get_array().get(array);
    is_read = error == SUCCESS ? read_array(array) : fail_malformed(error);
  } else if (type == json_type::object) {
    is_read = read_document_object();
  } else {
    failure_ = {DecodeFailure::Kind::malformed,
                "expected an array of records, one record, or {\"records\":[...]}", 0};
  }
  if (is_read && !is_at_end()) {
    failure_ = {DecodeFailure::Kind::malformed, "text behind the end of the JSON value",
                static_cast<std::size_t>(text_from(body_begin_).size())};
  }
  return failure_;
}

// {"records":[...]} holds records; any other object is one.
bool JsonReader::read_document_object() {
  Object object;
  if (const auto error = document_.get_object().get(object)) return fail_malformed(error);
  Value records;
  const auto found = object.find_field_unordered("records").get(records);
  json_type type{};
  if (found == SUCCESS && records.type().get(type) == SUCCESS && type == json_type::array) {
    Array array;
    if (const auto error = records.get_array().get(array)) return fail_malformed(error);
    if (!read_array(array)) return false;
    // What else the envelope holds is read to its end, so that it is known to be JSON.
    document_.rewind();
    if (const auto error = document_.get_object().get(object)) return fail_malformed(error);
    std::string ignored;
    int arrays = 0;
    for (auto field : object) {
      Value value;
      error_code error = field.error();
      simdjson::ondemand::raw_json_string name;
      if (!error) error = field.key().get(name);
      if (!error && inside_of_string(name.raw()) == "records" && ++arrays > 1) {
        failure_ = {DecodeFailure::Kind::malformed, "\"records\" is there twice",
                    static_cast<std::size_t>(name.raw() - body_begin_)};
        return false;
      }
      if (!error) error = field.value().get(value);
      if (!error) error = append_json(value, ignored, 0);
      ignored.clear();
      is_too_deep_ = false;
      if (error) return fail_malformed(error);
    }
    return true;
  }
  if (found != SUCCESS && found != simdjson::NO_SUCH_FIELD) return fail_malformed(found);
  document_.rewind();
  if (const auto error = document_.get_object().get(object)) return fail_malformed(error);
  sink_->begin();
  if (const auto error = add_members(object)) return fail_malformed(error);
  end_record(trimmed(text_from(body_begin_)));
  return true;
}

bool JsonReader::read_array(Array array) {
  for (auto element : array) {
    Value value;
    if (const auto error = element.get(value)) return fail_malformed(error);
    if (!sink_->begin()) {
      failure_ = too_many_records(*options_);
      return false;
    }
    if (!read_element(value)) return false;
  }
  return true;
}

bool JsonReader::read_element(Value element) {
  json_type type{};
  if (const auto error = element.type().get(type)) return fail_malformed(error);
  const char* begin = element.raw_json_token().data();
  if (type != json_type::object) {
    std::string text;
    if (const auto error = append_json(element, text, 0)) return fail_malformed(error);
    is_too_deep_ = false;
    sink_->refuse(text, "expected an object");
    return true;
  }
  Object object;
  error_code error = element.get_object().get(object);
  if (!error) error = add_members(object);
  if (error) return fail_malformed(error);
  end_record(text_from(begin));
  return true;
}

void JsonReader::end_record(std::string_view text) {
  if (std::exchange(is_too_deep_, false)) {
    sink_->refuse(text, fmt::format("nested deeper than {} levels", depth_max));
  } else {
    sink_->end(text);
  }
}

// Half of a surrogate pair, as a text that was cut leaves it, becomes U+FFFD: it is JSON by its
// grammar, and simdjson refuses it.
error_code JsonReader::read_string(Value value, std::string_view& text) {
  const auto error = value.get_string().get(text);
  if (error != simdjson::STRING_ERROR) [[likely]]
    return error;
  return unescape(inside_of_string(value.raw_json_token().data() + 1), text);
}

error_code JsonReader::read_name(Field& field, std::string_view& name) {
  const char* const begin = field.key().raw();
  const auto error = field.unescaped_key().get(name);
  if (error != simdjson::STRING_ERROR) [[likely]]
    return error;
  return unescape(inside_of_string(begin), name);
}

error_code JsonReader::unescape(std::string_view inside, std::string_view& text) {
  std::string out(inside.size(), '\0');
  const char* const end = unescape_json(inside, out.data());
  if (end == nullptr) return simdjson::STRING_ERROR;
  out.resize(static_cast<std::size_t>(end - out.data()));
  text = sink_->assembler().keep(std::move(out));
  return SUCCESS;
}

error_code JsonReader::add_members(Object object) {
  for (auto field : object) {
    if (field.error()) return field.error();
    std::string_view name;
    if (const auto error = read_name(field.value_unsafe(), name)) return error;
    Value value;
    if (const auto error = field.value().get(value)) return error;
    if (const auto error = add_member(name, value)) return error;
  }
  return SUCCESS;
}

error_code JsonReader::add_member(std::string_view name, Value value) {
  json_type type{};
  if (const auto error = value.type().get(type)) return error;
  RecordAssembler& assembler = sink_->assembler();
  switch (type) {
    case json_type::string: {
      std::string_view text;
      if (const auto error = read_string(value, text)) return error;
      assembler.add_text(name, text);
      return SUCCESS;
    }
    case json_type::number: {
      std::string_view digits;
      if (const auto error = read_number(value, digits)) return error;
      assembler.add_number(name, digits);
      return SUCCESS;
    }
    case json_type::null: return read_null(value);
    default: break;
  }
  std::string json;
  if (const auto error = append_json(value, json, 0)) return error;
  assembler.add_json(name, assembler.keep(std::move(json)));
  return SUCCESS;
}

// Writes a value again without blanks. Reading all of it is what proves that it is JSON.
error_code JsonReader::append_json(Value value, std::string& out, int depth) {
  json_type type{};
  if (const auto error = value.type().get(type)) return error;
  const bool is_nested = type == json_type::object || type == json_type::array;
  if (is_nested && depth == depth_max) {
    // simdjson passes over what is not read; only its record suffers.
    is_too_deep_ = true;
    return SUCCESS;
  }
  switch (type) {
    case json_type::object: {
      Object object;
      if (const auto error = value.get_object().get(object)) return error;
      char separator = '{';
      for (auto field : object) {
        if (field.error()) return field.error();
        std::string_view name;
        if (const auto error = read_name(field.value_unsafe(), name)) return error;
        out += separator;
        append_json_string(out, name);
        out += ':';
        separator = ',';
        Value member;
        if (const auto error = field.value().get(member)) return error;
        if (const auto error = append_json(member, out, depth + 1)) return error;
      }
      out += separator == '{' ? "{}" : "}";
      return SUCCESS;
    }
    case json_type::array: {
      Array array;
      if (const auto error = value.get_array().get(array)) return error;
      char separator = '[';
      for (auto element : array) {
        Value item;
        if (const auto error = element.get(item)) return error;
        out += separator;
        separator = ',';
        if (const auto error = append_json(item, out, depth + 1)) return error;
      }
      out += separator == '[' ? "[]" : "]";
      return SUCCESS;
    }
    case json_type::string: {
      std::string_view text;
      if (const auto error = read_string(value, text)) return error;
      append_json_string(out, text);
      return SUCCESS;
    }
    case json_type::number: {
      std::string_view digits;
      if (const auto error = read_number(value, digits)) return error;
      out += digits;
      return SUCCESS;
    }
    case json_type::boolean: {
      bool truth = false;
      if (const auto error = value.get_bool().get(truth)) return error;
      out += truth ? "true" : "false";
      return SUCCESS;
    }
    case json_type::null: {
      out += "null";
      return read_null(value);
    }
  }
  return simdjson::TAPE_ERROR;
}

bool JsonReader::is_at_end() {
  const char* location = nullptr;
  return document_.current_location().get(location) != SUCCESS || location >= body_end_;
}

// The text from `begin` up to where reading has come, without what separates it from the next.
std::string_view JsonReader::text_from(const char* begin) {
  const char* end = body_end_;
  const char* location = nullptr;
  if (document_.current_location().get(location) == SUCCESS && location <= end) end = location;
  while (end > begin && (is_blank(end[-1]) || end[-1] == ',')) --end;
  return {begin, static_cast<std::size_t>(end - begin)};
}

bool JsonReader::fail_malformed(error_code error) {
  failure_ = {DecodeFailure::Kind::malformed,
              fmt::format("the body is not JSON: {}", simdjson::error_message(error)),
              find_malformed({body_begin_, static_cast<std::size_t>(body_end_ - body_begin_)})};
  return false;
}

std::optional<DecodeFailure> JsonReader::read_lines(const std::string& body, std::size_t begin,
                                                    const DecoderOptions& options,
                                                    BatchSink& sink) {
  options_ = &options;
  sink_ = &sink;
  while (begin < body.size()) {
    const std::size_t end = std::min(body.find('\n', begin), body.size());
    const std::string_view line = trimmed({body.data() + begin, end - begin});
    begin = end + 1;
    if (line.empty()) continue;
    if (!sink.begin()) return too_many_records(options);
    body_begin_ = line.data();
    body_end_ = line.data() + line.size();
    failure_.reset();
    const std::size_t line_at = static_cast<std::size_t>(line.data() - body.data());
    const simdjson::padded_string_view view(line.data(), line.size(), body.capacity() - line_at);
    Object object;
    error_code error = parser_.iterate(view).get(document_);
    if (!error) error = document_.get_object().get(object);
    if (!error) error = add_members(object);
    if (!error && !is_at_end()) error = simdjson::TRAILING_CONTENT;
    if (error == SUCCESS) {
      end_record(line);
    } else {
      is_too_deep_ = false;
      sink.refuse(line,
                  error == simdjson::INCORRECT_TYPE
                      ? "the line is not a JSON object"
                      : fmt::format("the line is not JSON: {}", simdjson::error_message(error)));
    }
  }
  return std::nullopt;
}

}  // namespace millrace::record
