#include "columnar/object_stream.h"

#include <arrow/result.h>
#include <arrow/status.h>

namespace millrace::columnar {
namespace {

constexpr std::size_t buffer_bytes_max = 256 * 1024;

}  // namespace

arrow::Status ObjectStream::Write(const void* data, std::int64_t size_bytes) {
  buffer_.append(static_cast<const char*>(data), static_cast<std::size_t>(size_bytes));
  size_bytes_ += size_bytes;
  return buffer_.size() < buffer_bytes_max ? arrow::Status::OK() : Flush();
}

arrow::Status ObjectStream::Flush() {
  if (buffer_.empty()) return arrow::Status::OK();
  const auto written = object_.write(buffer_);
  if (!written) {
    if (!error_) error_ = written.error();
    return arrow::Status::IOError(written.error().message);
  }
  buffer_.clear();
  return arrow::Status::OK();
}

arrow::Status ObjectStream::Close() {
  is_closed_ = true;
  return Flush();
}

}  // namespace millrace::columnar
