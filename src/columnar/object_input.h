#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/result.h>

#include "base/result.h"
#include "store/object_store.h"

// For this folder only.
namespace millrace::columnar {

// Lets Arrow read ranges of an object. The store must outlive it. One thread.
class ObjectInput final : public arrow::io::RandomAccessFile {
 public:
  ObjectInput(store::ObjectStore& store, std::string key, std::int64_t size_bytes)
      : store_(store), key_(std::move(key)), size_bytes_(size_bytes) {}

  arrow::Result<std::int64_t> GetSize() override { return size_bytes_; }
  arrow::Result<std::int64_t> ReadAt(std::int64_t position, std::int64_t size, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(std::int64_t position,
                                                       std::int64_t size) override;
  arrow::Result<std::int64_t> Read(std::int64_t size, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::int64_t size) override;
  arrow::Status Seek(std::int64_t position) override;
  arrow::Result<std::int64_t> Tell() const override { return position_; }
  arrow::Status Close() override;
  bool closed() const override { return is_closed_; }

  // What the store's first failing call said, since Arrow's status cannot carry it.
  const std::optional<Error>& error() const { return error_; }

 private:
  store::ObjectStore& store_;
  const std::string key_;
  const std::int64_t size_bytes_;
  std::int64_t position_ = 0;
  bool is_closed_ = false;
  std::optional<Error> error_;
};

}  // namespace millrace::columnar
