#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <arrow/io/interfaces.h>
#include <arrow/result.h>

#include "base/result.h"
#include "store/object_store.h"

// For this folder only.
namespace millrace::columnar {

// Lets Arrow, which writes in small pieces, write to an object in large ones. Everything has
// reached the object after Close(). The object, which must outlive this, is not finished by it.
class ObjectStream final : public arrow::io::OutputStream {
 public:
  explicit ObjectStream(store::ObjectWriter& object) : object_(object) {}

  arrow::Status Write(const void* data, std::int64_t size_bytes) override;
  arrow::Status Close() override;
  arrow::Result<std::int64_t> Tell() const override { return size_bytes_; }
  arrow::Status Flush() override;
  bool closed() const override { return is_closed_; }

  std::int64_t size_bytes() const { return size_bytes_; }
  // What the object's first failing write() said, since Arrow's status cannot carry it.
  const std::optional<Error>& error() const { return error_; }

 private:
  store::ObjectWriter& object_;
  std::string buffer_;
  std::int64_t size_bytes_ = 0;
  bool is_closed_ = false;
  std::optional<Error> error_;
};

}  // namespace millrace::columnar
