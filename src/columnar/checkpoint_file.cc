#include "columnar/checkpoint_file.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>

#include <exception>
#include <utility>

#include "columnar/object_stream.h"

namespace millrace::columnar {

namespace {

using arrow::field;
using Texts = std::vector<std::string>;

constexpr std::int64_t rows_per_batch = 8 * 1024;

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

}  // namespace

// Writes row after row; a row group is all that is held.
class CheckpointWriter::Impl {
 public:
  explicit Impl(store::ObjectWriter& object)
      : object_(object), stream_(std::make_shared<ObjectStream>(object)) {}

  arrow::Status begin(const CheckpointHeader& header) {
    const auto schema = checkpoint_schema();
    ARROW_ASSIGN_OR_RAISE(builder_,
                          arrow::RecordBatchBuilder::Make(schema, arrow::default_memory_pool()));
    const auto properties = parquet::WriterProperties::Builder()
                                .compression(parquet::Compression::ZSTD)
                                ->max_row_group_length(rows_per_batch)
                                ->build();
    ARROW_ASSIGN_OR_RAISE(writer_, parquet::arrow::FileWriter::Open(
                                       *schema, arrow::default_memory_pool(), stream_, properties));
    ARROW_RETURN_NOT_OK(protocol_row(header));
    ARROW_RETURN_NOT_OK(metadata_row(header));
    for (const auto& [id, version] : header.transactions) {
      ARROW_RETURN_NOT_OK(txn_row(id, version));
    }
    return arrow::Status::OK();
  }

  arrow::Status end() {
    ARROW_RETURN_NOT_OK(flush());
    ARROW_RETURN_NOT_OK(writer_->Close());
    return stream_->Close();
  }

  // Runs one step of Arrow's, and makes what may come of it ours.
  template <typename Step>
  Result<void> guarded(Step step) {
    try {
      const arrow::Status status = step();
      if (status.ok()) return {};
      if (stream_->error()) return tl::unexpected(*stream_->error());
      return fail(Errc::exhausted, "encoding a checkpoint: " + status.ToString());
    } catch (const std::exception& error) {
      return fail(Errc::exhausted, std::string("encoding a checkpoint: ") + error.what());
    }
  }

  arrow::Status add_row(const CheckpointFile& file) {
    ARROW_ASSIGN_OR_RAISE(auto row, begin_row(add_column));
    ARROW_RETURN_NOT_OK(row.text(file.path));
    ARROW_RETURN_NOT_OK(row.map(file.partition_values));
    ARROW_RETURN_NOT_OK(row.int64(file.size_bytes));
    ARROW_RETURN_NOT_OK(row.int64(file.time_ms));
    ARROW_RETURN_NOT_OK(row.boolean(false));
    return row.text_or_null(file.stats_json);
  }

  arrow::Status remove_row(const CheckpointFile& file) {
    ARROW_ASSIGN_OR_RAISE(auto row, begin_row(remove_column));
    ARROW_RETURN_NOT_OK(row.text(file.path));
    ARROW_RETURN_NOT_OK(row.int64(file.time_ms));
    ARROW_RETURN_NOT_OK(row.boolean(false));
    ARROW_RETURN_NOT_OK(row.boolean(true));
    ARROW_RETURN_NOT_OK(row.map(file.partition_values));
    return row.int64(file.size_bytes);
  }

  store::ObjectWriter& object() { return object_; }

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

  arrow::Status protocol_row(const CheckpointHeader& header) {
    ARROW_ASSIGN_OR_RAISE(auto row, begin_row(protocol_column));
    ARROW_RETURN_NOT_OK(row.int32(header.reader_version));
    return row.int32(header.writer_version);
  }

  arrow::Status metadata_row(const CheckpointHeader& header) {
    ARROW_ASSIGN_OR_RAISE(auto row, begin_row(metadata_column));
    ARROW_RETURN_NOT_OK(row.text(header.table_id));
    ARROW_RETURN_NOT_OK(row.text_or_null(header.name));
    ARROW_RETURN_NOT_OK(row.text_or_null(header.description));
    StructAppender format = row.nested();
    ARROW_RETURN_NOT_OK(format.begin());
    ARROW_RETURN_NOT_OK(format.text("parquet"));
    ARROW_RETURN_NOT_OK(format.map(std::map<std::string, std::string>()));
    ARROW_RETURN_NOT_OK(row.text(header.schema_json));
    ARROW_RETURN_NOT_OK(row.list(header.partition_columns));
    ARROW_RETURN_NOT_OK(row.map(header.configuration));
    return row.int64(header.created_ms);
  }

  arrow::Status txn_row(const std::string& id, std::int64_t version) {
    ARROW_ASSIGN_OR_RAISE(auto row, begin_row(txn_column));
    ARROW_RETURN_NOT_OK(row.text(id));
    ARROW_RETURN_NOT_OK(row.int64(version));
    return static_cast<arrow::Int64Builder*>(
               static_cast<arrow::StructBuilder*>(builder_->GetField(txn_column))->field_builder(2))
        ->AppendNull();
  }

  store::ObjectWriter& object_;
  std::shared_ptr<ObjectStream> stream_;
  std::unique_ptr<arrow::RecordBatchBuilder> builder_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  std::int64_t row_count_ = 0;
};

CheckpointWriter::CheckpointWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CheckpointWriter::CheckpointWriter(CheckpointWriter&&) noexcept = default;
CheckpointWriter::~CheckpointWriter() = default;

Result<CheckpointWriter> CheckpointWriter::create(const CheckpointHeader& header,
                                                  store::ObjectWriter& object) {
  auto impl = std::make_unique<Impl>(object);
  MR_TRY(impl->guarded([&] { return impl->begin(header); }));
  return CheckpointWriter(std::move(impl));
}

Result<void> CheckpointWriter::add(const CheckpointFile& file) {
  return impl_->guarded([&] { return impl_->add_row(file); });
}

Result<void> CheckpointWriter::remove(const CheckpointFile& file) {
  return impl_->guarded([&] { return impl_->remove_row(file); });
}

Result<void> CheckpointWriter::finish() {
  MR_TRY(impl_->guarded([this] { return impl_->end(); }));
  return impl_->object().finish();
}

namespace {

// The fields of one action's struct, by name; those that are missing read as null.
class StructReader {
 public:
  explicit StructReader(const std::shared_ptr<arrow::Array>& array)
      : array_(std::dynamic_pointer_cast<arrow::StructArray>(array)) {}

  bool has(std::int64_t row) const { return array_ != nullptr && array_->IsValid(row); }

  std::string text(const char* name, std::int64_t row) const {
    const auto* values = column<arrow::StringArray>(name);
    return values != nullptr && values->IsValid(row) ? values->GetString(row) : std::string();
  }
  std::int64_t integer(const char* name, std::int64_t row) const {
    if (const auto* values = column<arrow::Int64Array>(name)) {
      return values->IsValid(row) ? values->Value(row) : 0;
    }
    const auto* values = column<arrow::Int32Array>(name);
    return values != nullptr && values->IsValid(row) ? values->Value(row) : 0;
  }
  Texts texts(const char* name, std::int64_t row) const {
    Texts result;
    const auto* lists = column<arrow::ListArray>(name);
    if (lists == nullptr || lists->IsNull(row)) return result;
    const auto* values = dynamic_cast<const arrow::StringArray*>(lists->values().get());
    for (std::int64_t i = lists->value_offset(row);
         values != nullptr && i < lists->value_offset(row + 1); ++i) {
      result.push_back(values->GetString(i));
    }
    return result;
  }
  std::map<std::string, std::optional<std::string>> map(const char* name, std::int64_t row) const {
    std::map<std::string, std::optional<std::string>> result;
    const auto* maps = column<arrow::MapArray>(name);
    if (maps == nullptr || maps->IsNull(row)) return result;
    const auto* keys = dynamic_cast<const arrow::StringArray*>(maps->keys().get());
    const auto* values = dynamic_cast<const arrow::StringArray*>(maps->items().get());
    if (keys == nullptr || values == nullptr) return result;
    for (std::int64_t i = maps->value_offset(row); i < maps->value_offset(row + 1); ++i) {
      auto value = values->IsValid(i) ? std::optional(values->GetString(i)) : std::nullopt;
      result.emplace(keys->GetString(i), std::move(value));
    }
    return result;
  }

 private:
  template <typename ArrayType>
  const ArrayType* column(const char* name) const {
    return array_ == nullptr ? nullptr
                             : dynamic_cast<const ArrayType*>(array_->GetFieldByName(name).get());
  }

  std::shared_ptr<arrow::StructArray> array_;
};

Result<void> take_rows(const arrow::RecordBatch& batch, CheckpointHeader& header,
                       CheckpointSink& sink) {
  const StructReader txn(batch.GetColumnByName("txn"));
  const StructReader add(batch.GetColumnByName("add"));
  const StructReader remove(batch.GetColumnByName("remove"));
  const StructReader metadata(batch.GetColumnByName("metaData"));
  const StructReader protocol(batch.GetColumnByName("protocol"));
  for (std::int64_t row = 0; row < batch.num_rows(); ++row) {
    if (add.has(row)) {
      MR_TRY(sink.added({add.text("path", row), add.map("partitionValues", row),
                         add.integer("size", row), add.integer("modificationTime", row),
                         add.text("stats", row)}));
    } else if (remove.has(row)) {
      MR_TRY(sink.removed({remove.text("path", row), remove.map("partitionValues", row),
                           remove.integer("size", row), remove.integer("deletionTimestamp", row),
                           ""}));
    } else if (txn.has(row)) {
      header.transactions[txn.text("appId", row)] = txn.integer("version", row);
    } else if (metadata.has(row)) {
      header.table_id = metadata.text("id", row);
      header.name = metadata.text("name", row);
      header.description = metadata.text("description", row);
      header.schema_json = metadata.text("schemaString", row);
      header.partition_columns = metadata.texts("partitionColumns", row);
      header.created_ms = metadata.integer("createdTime", row);
      for (auto& [key, value] : metadata.map("configuration", row)) {
        header.configuration[key] = value.value_or("");
      }
    } else if (protocol.has(row)) {
      header.reader_version = static_cast<int>(protocol.integer("minReaderVersion", row));
      header.writer_version = static_cast<int>(protocol.integer("minWriterVersion", row));
    }
  }
  return {};
}

// `outcome` is what the sink says; the status, what Arrow does.
arrow::Status read_all(std::string bytes, CheckpointHeader& header, CheckpointSink& sink,
                       Result<void>& outcome) {
  const auto source =
      std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(std::move(bytes)));
  parquet::arrow::FileReaderBuilder builder;
  ARROW_RETURN_NOT_OK(builder.Open(source));
  parquet::ArrowReaderProperties properties;
  properties.set_batch_size(rows_per_batch);
  std::unique_ptr<parquet::arrow::FileReader> reader;
  ARROW_RETURN_NOT_OK(builder.properties(properties)->Build(&reader));
  ARROW_ASSIGN_OR_RAISE(const auto batches, reader->GetRecordBatchReader());
  while (outcome) {
    ARROW_ASSIGN_OR_RAISE(const auto batch, batches->Next());
    if (batch == nullptr) break;
    outcome = take_rows(*batch, header, sink);
  }
  return arrow::Status::OK();
}

}  // namespace

Result<void> read_checkpoint_file(std::string bytes, CheckpointHeader& header,
                                  CheckpointSink& sink) {
  Result<void> outcome;
  try {
    const arrow::Status read = read_all(std::move(bytes), header, sink, outcome);
    if (!read.ok()) return fail(Errc::corrupt, "reading a checkpoint: " + read.ToString());
  } catch (const std::exception& error) {
    return fail(Errc::corrupt, std::string("reading a checkpoint: ") + error.what());
  }
  return outcome;
}

}  // namespace millrace::columnar
