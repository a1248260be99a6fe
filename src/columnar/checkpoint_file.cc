#include "columnar/checkpoint_file.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <utility>

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>

#include "columnar/object_stream.h"

namespace millrace::columnar {
namespace {

using arrow::field;
using Texts = std::vector<std::string>;

constexpr std::int64_t rows_per_batch = 16 * 1024;

std::shared_ptr<arrow::DataType> text_map() { return arrow::map(arrow::utf8(), arrow::utf8()); }

std::shared_ptr<arrow::DataType> text_list() {
  return arrow::list(field("element", arrow::utf8(), true));
}

std::shared_ptr<arrow::Schema> checkpoint_schema() {
  const auto format =
      arrow::struct_({field("provider", arrow::utf8()), field("options", text_map())});
  return arrow::schema({
      field("txn", arrow::struct_({field("appId", arrow::utf8()), field("version", arrow::int64()),
                                   field("lastUpdated", arrow::int64())})),
      field("add", arrow::struct_(
                       {field("path", arrow::utf8()), field("partitionValues", text_map()),
                        field("size", arrow::int64()), field("modificationTime", arrow::int64()),
                        field("dataChange", arrow::boolean()), field("stats", arrow::utf8())})),
      field("remove", arrow::struct_(
                          {field("path", arrow::utf8()), field("deletionTimestamp", arrow::int64()),
                           field("dataChange", arrow::boolean()),
                           field("extendedFileMetadata", arrow::boolean()),
                           field("partitionValues", text_map()), field("size", arrow::int64())})),
      field("metaData",
            arrow::struct_(
                {field("id", arrow::utf8()), field("name", arrow::utf8()),
                 field("description", arrow::utf8()), field("format", format),
                 field("schemaString", arrow::utf8()), field("partitionColumns", text_list()),
                 field("configuration", text_map()), field("createdTime", arrow::int64())})),
      field("protocol", arrow::struct_({field("minReaderVersion", arrow::int32()),
                                        field("minWriterVersion", arrow::int32())})),
  });
}

enum ActionColumn { txn_column, add_column, remove_column, metadata_column, protocol_column };
constexpr int action_columns = 5;

// Appends to the fields of one struct in turn.
class StructAppender {
 public:
  explicit StructAppender(arrow::ArrayBuilder* builder)
      : builder_(static_cast<arrow::StructBuilder*>(builder)) {}

  arrow::Status begin() {
    next_ = 0;
    return builder_->Append();
  }
  arrow::Status text(const std::string& value) {
    return next<arrow::StringBuilder>()->Append(value);
  }
  arrow::Status text_or_null(const std::string& value) {
    auto* builder = next<arrow::StringBuilder>();
    return value.empty() ? builder->AppendNull() : builder->Append(value);
  }
  arrow::Status int64(std::int64_t value) { return next<arrow::Int64Builder>()->Append(value); }
  arrow::Status int64_null() { return next<arrow::Int64Builder>()->AppendNull(); }
  arrow::Status int32(int value) { return next<arrow::Int32Builder>()->Append(value); }
  arrow::Status boolean(bool value) { return next<arrow::BooleanBuilder>()->Append(value); }
  template <typename Map>
  arrow::Status map(const Map& values) {
    auto* builder = next<arrow::MapBuilder>();
    ARROW_RETURN_NOT_OK(builder->Append());
    for (const auto& [key, value] : values) {
      ARROW_RETURN_NOT_OK(static_cast<arrow::StringBuilder*>(builder->key_builder())->Append(key));
      ARROW_RETURN_NOT_OK(
          append(static_cast<arrow::StringBuilder*>(builder->item_builder()), value));
    }
    return arrow::Status::OK();
  }
  arrow::Status list(const Texts& values) {
    auto* builder = next<arrow::ListBuilder>();
    ARROW_RETURN_NOT_OK(builder->Append());
    for (const auto& value : values) {
      ARROW_RETURN_NOT_OK(
          static_cast<arrow::StringBuilder*>(builder->value_builder())->Append(value));
    }
    return arrow::Status::OK();
  }
  StructAppender nested() { return StructAppender(builder_->field_builder(next_++)); }

 private:
  template <typename Builder>
  Builder* next() {
    return static_cast<Builder*>(builder_->field_builder(next_++));
  }
  static arrow::Status append(arrow::StringBuilder* builder, const std::string& value) {
    return builder->Append(value);
  }
  static arrow::Status append(arrow::StringBuilder* builder,
                              const std::optional<std::string>& value) {
    return value ? builder->Append(*value) : builder->AppendNull();
  }

  arrow::StructBuilder* builder_;
  int next_ = 0;
};

// Writes row after row; a batch of rows is all that is held.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(store::ObjectWriter& object)
      : stream_(std::make_shared<ObjectStream>(object)) {}

  arrow::Status write(const CheckpointRows& rows) {
    const auto schema = checkpoint_schema();
    ARROW_ASSIGN_OR_RAISE(builder_,
                          arrow::RecordBatchBuilder::Make(schema, arrow::default_memory_pool()));
    const auto properties =
        parquet::WriterProperties::Builder().compression(parquet::Compression::ZSTD)->build();
    ARROW_ASSIGN_OR_RAISE(writer_, parquet::arrow::FileWriter::Open(
                                       *schema, arrow::default_memory_pool(), stream_, properties));
    ARROW_RETURN_NOT_OK(protocol_row(rows));
    ARROW_RETURN_NOT_OK(metadata_row(rows));
    for (const auto& [id, version] : rows.transactions) ARROW_RETURN_NOT_OK(txn_row(id, version));
    for (const auto& file : rows.adds) ARROW_RETURN_NOT_OK(add_row(file));
    for (const auto& file : rows.removes) ARROW_RETURN_NOT_OK(remove_row(file));
    ARROW_RETURN_NOT_OK(flush());
    ARROW_RETURN_NOT_OK(writer_->Close());
    return stream_->Close();
  }

  const std::optional<Error>& object_error() const { return stream_->error(); }

 private:
  arrow::Result<StructAppender> begin_row(ActionColumn action) {
    if (row_count_ == rows_per_batch) ARROW_RETURN_NOT_OK(flush());
    ++row_count_;
    for (int column = 0; column < action_columns; ++column) {
      if (column != action) ARROW_RETURN_NOT_OK(builder_->GetField(column)->AppendNull());
    }
    StructAppender appender(builder_->GetField(action));
    ARROW_RETURN_NOT_OK(appender.begin());
    return appender;
  }

  arrow::Status flush() {
    ARROW_ASSIGN_OR_RAISE(const auto batch, builder_->Flush());
    row_count_ = 0;
    return writer_->WriteRecordBatch(*batch);
  }

  arrow::Status protocol_row(const CheckpointRows& rows) {
    ARROW_ASSIGN_OR_RAISE(auto row, begin_row(protocol_column));
    ARROW_RETURN_NOT_OK(row.int32(rows.reader_version));
    return row.int32(rows.writer_version);
  }

  arrow::Status metadata_row(const CheckpointRows& rows) {
    ARROW_ASSIGN_OR_RAISE(auto row, begin_row(metadata_column));
    ARROW_RETURN_NOT_OK(row.text(rows.table_id));
    ARROW_RETURN_NOT_OK(row.text_or_null(rows.name));
    ARROW_RETURN_NOT_OK(row.text_or_null(rows.description));
    StructAppender format = row.nested();
    ARROW_RETURN_NOT_OK(format.begin());
    ARROW_RETURN_NOT_OK(format.text("parquet"));
    ARROW_RETURN_NOT_OK(format.map(std::map<std::string, std::string>()));
    ARROW_RETURN_NOT_OK(row.text(rows.schema_json));
    ARROW_RETURN_NOT_OK(row.list(rows.partition_columns));
    ARROW_RETURN_NOT_OK(row.map(rows.configuration));
    return row.int64(rows.created_ms);
  }

  arrow::Status txn_row(const std::string& id, std::int64_t version) {
    ARROW_ASSIGN_OR_RAISE(auto row, begin_row(txn_column));
    ARROW_RETURN_NOT_OK(row.text(id));
    ARROW_RETURN_NOT_OK(row.int64(version));
    return row.int64_null();
  }

  arrow::Status add_row(const CheckpointRows::File& file) {
    ARROW_ASSIGN_OR_RAISE(auto row, begin_row(add_column));
    ARROW_RETURN_NOT_OK(row.text(file.path));
    ARROW_RETURN_NOT_OK(row.map(file.partition_values));
    ARROW_RETURN_NOT_OK(row.int64(file.size_bytes));
    ARROW_RETURN_NOT_OK(row.int64(file.time_ms));
    ARROW_RETURN_NOT_OK(row.boolean(false));
    return row.text_or_null(file.stats_json);
  }

  arrow::Status remove_row(const CheckpointRows::File& file) {
    ARROW_ASSIGN_OR_RAISE(auto row, begin_row(remove_column));
    ARROW_RETURN_NOT_OK(row.text(file.path));
    ARROW_RETURN_NOT_OK(row.int64(file.time_ms));
    ARROW_RETURN_NOT_OK(row.boolean(false));
    ARROW_RETURN_NOT_OK(row.boolean(true));
    ARROW_RETURN_NOT_OK(row.map(file.partition_values));
    return row.int64(file.size_bytes);
  }

  std::shared_ptr<ObjectStream> stream_;
  std::unique_ptr<arrow::RecordBatchBuilder> builder_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  std::int64_t row_count_ = 0;
};

// A value of a string column. Writers differ in which of Arrow's string types they note in the
// file.
std::optional<std::string> text_at(const arrow::Array& array, std::int64_t row) {
  if (array.IsNull(row)) return std::nullopt;
  switch (array.type_id()) {
    case arrow::Type::STRING: return static_cast<const arrow::StringArray&>(array).GetString(row);
    case arrow::Type::LARGE_STRING:
      return static_cast<const arrow::LargeStringArray&>(array).GetString(row);
    case arrow::Type::STRING_VIEW:
      return static_cast<const arrow::StringViewArray&>(array).GetString(row);
    default: return std::nullopt;
  }
}

// The members of one action's struct, by name. The first required one that is null, missing or of
// another type is remembered.
class StructReader {
 public:
  StructReader(const arrow::RecordBatch& batch, const char* action) : action_(action) {
    const auto column = batch.GetColumnByName(action);
    array_ = std::dynamic_pointer_cast<arrow::StructArray>(column);
    if (column != nullptr && array_ == nullptr) fault_ = "itself";
  }

  bool has(std::int64_t row) const { return array_ != nullptr && array_->IsValid(row); }

  std::string text(const char* name, std::int64_t row) {
    auto value = optional_text(name, row);
    if (!value) note(name);
    return std::move(value).value_or("");
  }
  std::string text_or_empty(const char* name, std::int64_t row) const {
    return optional_text(name, row).value_or("");
  }
  std::int64_t integer(const char* name, std::int64_t row) {
    const auto value = optional_integer(name, row);
    if (!value) note(name);
    return value.value_or(0);
  }
  std::int64_t integer_or_zero(const char* name, std::int64_t row) const {
    return optional_integer(name, row).value_or(0);
  }
  Texts texts(const char* name, std::int64_t row) {
    Texts result;
    const auto array = array_->GetFieldByName(name);
    const auto* lists = dynamic_cast<const arrow::ListArray*>(array.get());
    if (lists == nullptr) {
      note(name);
      return result;
    }
    if (lists->IsNull(row)) return result;
    for (std::int64_t i = lists->value_offset(row); i < lists->value_offset(row + 1); ++i) {
      auto value = text_at(*lists->values(), i);
      if (!value) note(name);
      result.push_back(std::move(value).value_or(""));
    }
    return result;
  }
  std::map<std::string, std::optional<std::string>> map(const char* name, std::int64_t row) {
    std::map<std::string, std::optional<std::string>> result;
    const auto array = array_->GetFieldByName(name);
    const auto* maps = dynamic_cast<const arrow::MapArray*>(array.get());
    if (maps == nullptr) {
      if (array != nullptr) note(name);
      return result;
    }
    if (maps->IsNull(row)) return result;
    for (std::int64_t i = maps->value_offset(row); i < maps->value_offset(row + 1); ++i) {
      auto key = text_at(*maps->keys(), i);
      auto value = text_at(*maps->items(), i);
      if (!key || (!value && maps->items()->IsValid(i))) note(name);
      if (key) result.insert_or_assign(*std::move(key), std::move(value));
    }
    return result;
  }

  arrow::Status status() const {
    if (fault_.empty()) return arrow::Status::OK();
    return arrow::Status::Invalid(action_, ": ", fault_, " is null, missing or of another type");
  }

 private:
  std::optional<std::string> optional_text(const char* name, std::int64_t row) const {
    const auto values = array_->GetFieldByName(name);
    return values == nullptr ? std::nullopt : text_at(*values, row);
  }
  std::optional<std::int64_t> optional_integer(const char* name, std::int64_t row) const {
    const auto values = array_->GetFieldByName(name);
    if (values == nullptr || values->IsNull(row)) return std::nullopt;
    if (const auto* wide = dynamic_cast<const arrow::Int64Array*>(values.get())) {
      return wide->Value(row);
    }
    const auto* narrow = dynamic_cast<const arrow::Int32Array*>(values.get());
    return narrow == nullptr ? std::nullopt : std::optional<std::int64_t>(narrow->Value(row));
  }
  void note(const char* name) {
    if (fault_.empty()) fault_ = name;
  }

  const char* action_;
  std::shared_ptr<arrow::StructArray> array_;
  std::string fault_;
};

// Collects the rows of a checkpoint batch after batch.
class CheckpointReader {
 public:
  arrow::Status take(const arrow::RecordBatch& batch) {
    StructReader txn(batch, "txn");
    StructReader add(batch, "add");
    StructReader remove(batch, "remove");
    StructReader metadata(batch, "metaData");
    StructReader protocol(batch, "protocol");
    for (std::int64_t row = 0; row < batch.num_rows(); ++row) {
      if (add.has(row)) take_add(add, row);
      if (remove.has(row)) take_remove(remove, row);
      if (txn.has(row)) rows_.transactions[txn.text("appId", row)] = txn.integer("version", row);
      if (metadata.has(row)) take_metadata(metadata, row);
      if (protocol.has(row)) take_protocol(protocol, row);
    }
    for (const StructReader* reader : {&txn, &add, &remove, &metadata, &protocol}) {
      ARROW_RETURN_NOT_OK(reader->status());
    }
    return arrow::Status::OK();
  }

  arrow::Result<CheckpointRows> finish() {
    if (!has_metadata_) return arrow::Status::Invalid("there is no metaData action");
    if (!has_protocol_) return arrow::Status::Invalid("there is no protocol action");
    return std::move(rows_);
  }

 private:
  void take_add(StructReader& add, std::int64_t row) {
    rows_.adds.push_back({add.text("path", row), add.map("partitionValues", row),
                          add.integer("size", row), add.integer_or_zero("modificationTime", row),
                          add.text_or_empty("stats", row)});
  }
  void take_remove(StructReader& remove, std::int64_t row) {
    rows_.removes.push_back({remove.text("path", row), remove.map("partitionValues", row),
                             remove.integer_or_zero("size", row),
                             remove.integer_or_zero("deletionTimestamp", row), ""});
  }
  void take_metadata(StructReader& metadata, std::int64_t row) {
    has_metadata_ = true;
    rows_.table_id = metadata.text("id", row);
    rows_.name = metadata.text_or_empty("name", row);
    rows_.description = metadata.text_or_empty("description", row);
    rows_.schema_json = metadata.text("schemaString", row);
    rows_.partition_columns = metadata.texts("partitionColumns", row);
    rows_.created_ms = metadata.integer_or_zero("createdTime", row);
    for (auto& [key, value] : metadata.map("configuration", row)) {
      rows_.configuration[key] = value.value_or("");
    }
  }
  void take_protocol(StructReader& protocol, std::int64_t row) {
    has_protocol_ = true;
    const auto narrowed = [](std::int64_t version) {
      return static_cast<int>(std::clamp<std::int64_t>(version, 0, INT32_MAX));
    };
    rows_.reader_version = narrowed(protocol.integer("minReaderVersion", row));
    rows_.writer_version = narrowed(protocol.integer("minWriterVersion", row));
  }

  CheckpointRows rows_;
  bool has_metadata_ = false;
  bool has_protocol_ = false;
};

arrow::Result<CheckpointRows> read_rows_of(std::string bytes) {
  const auto file =
      std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(std::move(bytes)));
  ARROW_ASSIGN_OR_RAISE(const auto reader,
                        parquet::arrow::OpenFile(file, arrow::default_memory_pool()));
  ARROW_ASSIGN_OR_RAISE(const auto batches, reader->GetRecordBatchReader());
  CheckpointReader rows;
  for (;;) {
    ARROW_ASSIGN_OR_RAISE(const auto batch, batches->Next());
    if (batch == nullptr) return rows.finish();
    ARROW_RETURN_NOT_OK(rows.take(*batch));
  }
}

}  // namespace

Result<void> write_checkpoint_file(const CheckpointRows& rows, store::ObjectWriter& object) {
  try {
    CheckpointWriter writer(object);
    if (const arrow::Status status = writer.write(rows); !status.ok()) {
      if (writer.object_error()) return tl::unexpected(*writer.object_error());
      return fail(Errc::exhausted, "encoding a checkpoint: " + status.ToString());
    }
  } catch (const std::exception& error) {
    return fail(Errc::exhausted, std::string("encoding a checkpoint: ") + error.what());
  }
  return object.finish();
}

Result<CheckpointRows> read_checkpoint_file(std::string bytes) {
  try {
    auto rows = read_rows_of(std::move(bytes));
    if (rows.ok()) return *std::move(rows);
    const Errc code = rows.status().IsOutOfMemory() ? Errc::exhausted : Errc::corrupt;
    return fail(code, "reading a checkpoint: " + rows.status().ToString());
  } catch (const std::bad_alloc&) {
    return fail(Errc::exhausted, "reading a checkpoint: not enough memory");
  } catch (const std::exception& error) {
    return fail(Errc::corrupt, std::string("reading a checkpoint: ") + error.what());
  }
}

}  // namespace millrace::columnar
