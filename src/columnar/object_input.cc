#include "columnar/object_input.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace millrace::columnar {

arrow::Result<std::shared_ptr<arrow::Buffer>> ObjectInput::ReadAt(std::int64_t position,
                                                                  std::int64_t size) {
  if (position < 0 || size < 0) return arrow::Status::Invalid("a range before the object's start");
  auto bytes = store_.get_range(key_, static_cast<std::uint64_t>(position),
                                static_cast<std::uint64_t>(size));
  if (!bytes) {
    if (!error_) error_ = bytes.error();
    return arrow::Status::IOError(bytes.error().message);
  }
  return arrow::Buffer::FromString(*std::move(bytes));
}

arrow::Result<std::int64_t> ObjectInput::ReadAt(std::int64_t position, std::int64_t size,
                                                void* out) {
  ARROW_ASSIGN_OR_RAISE(const auto buffer, ReadAt(position, size));
  std::memcpy(out, buffer->data(), static_cast<std::size_t>(buffer->size()));
  return buffer->size();
}

arrow::Result<std::int64_t> ObjectInput::Read(std::int64_t size, void* out) {
  ARROW_ASSIGN_OR_RAISE(const std::int64_t read, ReadAt(position_, size, out));
  position_ += read;
  return read;
}

arrow::Result<std::shared_ptr<arrow::Buffer>> ObjectInput::Read(std::int64_t size) {
  ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(position_, size));
  position_ += buffer->size();
  return buffer;
}

arrow::Status ObjectInput::Seek(std::int64_t position) {
  position_ = position;
  return arrow::Status::OK();
}

arrow::Status ObjectInput::Close() {
  is_closed_ = true;
  return arrow::Status::OK();
}

}  // namespace millrace::columnar
