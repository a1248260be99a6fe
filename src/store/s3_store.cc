#include "store/s3_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/random_id.h"
#include "store/object_key.h"
#include "store/s3_answers.h"
#include "store/s3_client.h"

namespace millrace::store {

namespace {

const std::pair<std::string, std::string> binary_content = {"Content-Type",
                                                            "application/octet-stream"};

Result<void> put_object(S3Client& client, std::string key, std::string_view bytes,
                        bool is_conditional) {
  S3Request request{.method = "PUT",
                    .operation = "PutObject",
                    .permission = "s3:PutObject",
                    .key = std::move(key),
                    .headers = {binary_content},
                    .body = bytes,
                    .answer_header = "etag"};
  if (is_conditional) request.headers.emplace_back("If-None-Match", "*");
  MR_TRY(client.send(request));
  return {};
}

std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// RFC 9110's date: "Tue, 15 Nov 1994 08:12:31 GMT".
Timestamp http_date(std::string_view text) {
  std::tm time{};
  if (::strptime(std::string(text).c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time) == nullptr)
    return {};
  return Timestamp(std::chrono::seconds(::timegm(&time)));
}

S3Request get_request(std::string key) {
  return {.method = "GET",
          .operation = "GetObject",
          .permission = "s3:GetObject",
          .key = std::move(key),
          .answer_header = "etag"};
}

Result<http_client::ClientResponse> get_object_range(S3Client& client, std::string key,
                                                     std::uint64_t first, std::uint64_t last) {
  S3Request request = get_request(std::move(key));
  request.headers = {{"Range", fmt::format("bytes={}-{}", first, last)}};
  return client.send(request);
}

// The size and time of an object. By its first byte: an answer to HEAD has no body that would say
// what is wrong.
Result<ObjectInfo> head_object(S3Client& client, const std::string& key) {
  const auto response = get_object_range(client, key, 0, 0);
  if (!response && response.error().message.find("InvalidRange") != std::string::npos) {
    return ObjectInfo{key, 0, {}};
  }
  if (!response) return tl::unexpected(response.error());
  const std::string_view range = response->header("content-range");  // "bytes 0-0/1234"
  const std::uint64_t size_bytes =
      range.empty() ? response->body.size() : number_of(range.substr(range.find('/') + 1));
  return ObjectInfo{key, size_bytes, http_date(response->header("last-modified"))};
}

// Has ListObjectsV2 tell all that is below `prefix`; `delimiter` and `start_after` may be empty.
template <typename Use>
Result<void> for_each_page(S3Client& client, const std::string& prefix,
                           const std::string& delimiter, const std::string& start_after, Use use) {
  std::string token;
  do {
    S3Request request{.method = "GET",
                      .operation = "ListObjectsV2",
                      .permission = "s3:ListBucket",
                      .answer_element = "ListBucketResult"};
    const auto add = [&request](const char* name, const std::string& value) {
      if (!value.empty()) request.parameters.emplace_back(name, value);
    };
    add("continuation-token", token);
    add("delimiter", delimiter);
    add("encoding-type", "url");
    add("list-type", "2");
    request.parameters.emplace_back("prefix", prefix);
    add("start-after", start_after);
    MR_TRY_ASSIGN(const auto response, client.send(request));
    MR_TRY_ASSIGN(S3ListPage page, parse_s3_list_page(response.body));
    token = std::move(page.continuation_token);
    use(std::move(page));
  } while (!token.empty());
  return {};
}

// Sends what it gets in parts of one size, or as a whole where that is less than a part.
class S3ObjectWriter final : public ObjectWriter {
 public:
  S3ObjectWriter(S3Client& client, std::string key) : client_(client), key_(std::move(key)) {}

  // Parts without an end cost their owner money.
  ~S3ObjectWriter() override {
    if (upload_id_.empty()) return;
    S3Request request = upload_request("DELETE", "AbortMultipartUpload", "s3:AbortMultipartUpload");
    request.is_repeated = false;
    const auto aborted = client_.send(request);
    if (aborted || aborted.error().code == Errc::not_found) return;
    log(LogLevel::warn, "s3: an unfinished upload could not be aborted; `millrace maintain` will",
        {{"key", key_}, {"reason", aborted.error().message}});
  }

  Result<void> write(std::string_view bytes) override {
    const std::uint64_t part_bytes = client_.options().part_size_bytes;
    while (buffer_.size() + bytes.size() > part_bytes) {
      const std::size_t taken = part_bytes - buffer_.size();
      buffer_.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      MR_TRY(send_part());
    }
    buffer_.append(bytes);
    return {};
  }

  Result<void> finish() override {
    if (upload_id_.empty()) return put_object(client_, key_, buffer_, false);
    MR_TRY(send_part());
    const std::string parts = s3_part_list(etags_);
    S3Request request = upload_request("POST", "CompleteMultipartUpload", "s3:PutObject");
    request.headers = {{"Content-Type", "application/xml"}};
    request.body = parts;
    request.answer_element = "CompleteMultipartUploadResult";
    auto completed = client_.send(request);
    // An attempt that got no answer has completed it, where the upload is gone and the object
    // there.
    if (!completed && completed.error().code == Errc::not_found && is_complete()) {
      upload_id_.clear();
      return {};
    }
    if (!completed) return fail(Errc::unavailable, completed.error().message);
    upload_id_.clear();
    return {};
  }

 private:
  S3Request upload_request(std::string_view method, std::string_view operation,
                           std::string_view permission) const {
    return {.method = method,
            .operation = operation,
            .permission = permission,
            .key = key_,
            .parameters = {{"uploadId", upload_id_}}};
  }

  Result<void> send_part() {
    if (upload_id_.empty()) {
      MR_TRY_ASSIGN(const auto started,
                    client_.send({.method = "POST",
                                  .operation = "CreateMultipartUpload",
                                  .permission = "s3:PutObject",
                                  .key = key_,
                                  .parameters = {{"uploads", ""}},
                                  .headers = {binary_content},
                                  .answer_element = "InitiateMultipartUploadResult"}));
      MR_TRY_ASSIGN(upload_id_, parse_s3_upload_id(started.body));
    }
    S3Request request = upload_request("PUT", "UploadPart", "s3:PutObject");
    request.parameters.insert(request.parameters.begin(),
                              {"partNumber", std::to_string(etags_.size() + 1)});
    request.headers = {binary_content};
    request.body = buffer_;
    request.answer_header = "etag";
    MR_TRY_ASSIGN(const auto sent, client_.send(request));
    etags_.emplace_back(sent.header("etag"));
    size_bytes_ += buffer_.size();
    buffer_.clear();
    return {};
  }

  bool is_complete() {
    const auto there = head_object(client_, key_);
    return there && there->size_bytes == size_bytes_;
  }

  S3Client& client_;
  const std::string key_;
  std::string buffer_;
  std::string upload_id_;  // Empty: nothing is under way.
  std::vector<std::string> etags_;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace

S3Store::S3Store(std::unique_ptr<S3Client> client, std::string prefix,
                 std::shared_ptr<ReadCache> cache)
    : client_(std::move(client)), prefix_(std::move(prefix)), cache_(std::move(cache)) {}

S3Store::~S3Store() = default;

Result<std::unique_ptr<S3Store>> S3Store::open(const S3Options& options, std::string bucket,
                                               std::string prefix, std::shared_ptr<ReadCache> cache,
                                               MetricsRegistry& metrics) {
  MR_TRY_ASSIGN(auto client, S3Client::create(options, std::move(bucket), metrics));
  if (!prefix.empty()) {
    MR_TRY(check_key(prefix));
    prefix += '/';
  }
  return std::unique_ptr<S3Store>(
      new S3Store(std::move(client), std::move(prefix), std::move(cache)));
}

Result<std::string> S3Store::whole_key(std::string_view key) const {
  MR_TRY(check_key(key));
  return prefix_ + std::string(key);
}

Result<void> S3Store::put(std::string_view key, std::string_view bytes) {
  MR_TRY_ASSIGN(std::string whole, whole_key(key));
  return put_object(*client_, std::move(whole), bytes, false);
}

Result<void> S3Store::put_if_absent(std::string_view key, std::string_view bytes) {
  MR_TRY_ASSIGN(std::string whole, whole_key(key));
  return put_object(*client_, std::move(whole), bytes, true);
}

Result<std::unique_ptr<ObjectWriter>> S3Store::create(std::string_view key) {
  MR_TRY_ASSIGN(std::string whole, whole_key(key));
  return std::make_unique<S3ObjectWriter>(*client_, std::move(whole));
}

Result<std::string> S3Store::get(std::string_view key) {
  MR_TRY_ASSIGN(std::string whole, whole_key(key));
  MR_TRY_ASSIGN(auto response, client_->send(get_request(std::move(whole))));
  return std::move(response.body);
}

Result<std::string> S3Store::get_range(std::string_view key, std::uint64_t offset_bytes,
                                       std::uint64_t size_bytes) {
  if (size_bytes == 0) return "";
  MR_TRY_ASSIGN(std::string whole, whole_key(key));
  auto response =
      get_object_range(*client_, std::move(whole), offset_bytes, offset_bytes + size_bytes - 1);
  if (!response) {
    // The object ends before the range.
    if (response.error().message.find("InvalidRange") != std::string::npos) return "";
    return tl::unexpected(std::move(response).error());
  }
  constexpr int partial_content = 206;
  if (response->status != partial_content) {
    return response->body.substr(std::min<std::size_t>(offset_bytes, response->body.size()),
                                 size_bytes);
  }
  return std::move(response->body);
}

Result<ObjectInfo> S3Store::head(std::string_view key) {
  MR_TRY_ASSIGN(const std::string whole, whole_key(key));
  MR_TRY_ASSIGN(ObjectInfo info, head_object(*client_, whole));
  info.key = key;
  return info;
}

Result<std::vector<ObjectInfo>> S3Store::list(std::string_view prefix,
                                              std::string_view start_after) {
  std::vector<ObjectInfo> objects;
  const std::string after = start_after.empty() ? "" : prefix_ + std::string(start_after);
  MR_TRY(for_each_page(*client_, prefix_ + std::string(prefix), "", after, [&](S3ListPage page) {
    for (ObjectInfo& object : page.objects) {
      object.key.erase(0, prefix_.size());
      // Some tools leave objects that stand for folders.
      const bool is_folder = object.key.empty() || object.key.ends_with('/');
      if (!is_folder && object.key > start_after) objects.push_back(std::move(object));
    }
  }));
  std::sort(objects.begin(), objects.end(),
            [](const ObjectInfo& a, const ObjectInfo& b) { return a.key < b.key; });
  return objects;
}

Result<std::vector<std::string>> S3Store::list_folders(std::string_view prefix) {
  std::vector<std::string> names;
  const std::string above = prefix_ + std::string(prefix);
  MR_TRY(for_each_page(*client_, above, "/", "", [&](const S3ListPage& page) {
    for (const std::string& folder : page.folders) {
      std::string name = folder.substr(above.size());
      if (name.ends_with('/')) name.pop_back();
      if (!name.empty()) names.push_back(std::move(name));
    }
  }));
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> S3Store::remove(std::string_view key) {
  MR_TRY_ASSIGN(std::string whole, whole_key(key));
  const auto removed = client_->send({.method = "DELETE",
                                      .operation = "DeleteObject",
                                      .permission = "s3:DeleteObject",
                                      .key = std::move(whole)});
  if (removed || removed.error().code == Errc::not_found) return {};
  return tl::unexpected(removed.error());
}

Result<std::unique_ptr<LocalFiles>> S3Store::local_files(const std::vector<ObjectSize>& objects,
                                                         const StopCheck& stop) {
  if (!cache_) return fail(Errc::unavailable, "there is no cache for files of S3");
  const std::string place =
      fmt::format("{} s3://{}/{}", client_->options().endpoint, client_->bucket(), prefix_);
  return cache_->pin(*this, place, objects, stop);
}

Result<std::size_t> S3Store::remove_unfinished(std::string_view prefix, Timestamp until) {
  const std::string above = prefix_ + std::string(prefix);
  std::size_t count = 0;
  S3UploadPage page;
  do {
    S3Request request{.method = "GET",
                      .operation = "ListMultipartUploads",
                      .permission = "s3:ListBucketMultipartUploads",
                      .answer_element = "ListMultipartUploadsResult"};
    if (!page.next_key_marker.empty()) {
      request.parameters.emplace_back("key-marker", page.next_key_marker);
    }
    request.parameters.emplace_back("prefix", above);
    if (!page.next_upload_id_marker.empty()) {
      request.parameters.emplace_back("upload-id-marker", page.next_upload_id_marker);
    }
    request.parameters.emplace_back("uploads", "");
    MR_TRY_ASSIGN(const auto response, client_->send(request));
    MR_TRY_ASSIGN(page, parse_s3_upload_page(response.body));
    for (const S3Upload& upload : page.uploads) {
      if (upload.started >= until || !upload.key.starts_with(above)) continue;
      const auto aborted = client_->send({.method = "DELETE",
                                          .operation = "AbortMultipartUpload",
                                          .permission = "s3:AbortMultipartUpload",
                                          .key = upload.key,
                                          .parameters = {{"uploadId", upload.upload_id}}});
      if (!aborted && aborted.error().code != Errc::not_found) {
        return tl::unexpected(aborted.error());
      }
      ++count;
    }
  } while (!page.next_key_marker.empty());
  return count;
}

Result<void> S3Store::prove_readable() {
  MR_TRY(list_folders(""));
  return {};
}

Result<void> S3Store::prove_writable() {
  const std::string key = fmt::format("_millrace_proof/{}", random_uuid());
  auto proven = prove_with(key);
  auto removed = remove(key);
  return proven ? removed : proven;
}

Result<void> S3Store::prove_with(const std::string& key) {
  // The bodies differ: a retry that finds its own is no loss.
  std::array<Result<void>, 2> puts;
  {
    std::jthread other([&] { puts[0] = put_if_absent(key, "0"); });
    puts[1] = put_if_absent(key, "1");
  }
  const auto is_lost = [](const Result<void>& put) {
    return !put && put.error().code == Errc::already_exists;
  };
  for (const auto& put : puts) {
    if (!put && !is_lost(put)) return put;
  }
  MR_TRY_ASSIGN(const std::string winner, get(key));
  auto late = put_if_absent(key, "late");
  if (!late && !is_lost(late)) return late;
  MR_TRY_ASSIGN(const std::string kept, get(key));
  MR_TRY_ASSIGN(const auto listed, list(key));
  const bool is_won_by_one =
      puts[0].has_value() != puts[1].has_value() && winner == (puts[0] ? "0" : "1");
  const bool is_kept = !late && kept == winner;
  if (is_kept && (is_won_by_one || (!puts[0] && !puts[1])) && listed.size() == 1) return {};
  return fail(
      Errc::invalid_argument,
      fmt::format("the S3 service at {} cannot hold tables that are written exactly once: of "
                  "conditional writes (PUT with If-None-Match: *) of one object {}. Use Amazon S3, "
                  "MinIO, or another that has them",
                  client_->options().endpoint.empty() ? "AWS" : client_->options().endpoint,
                  listed.size() != 1 ? "the result is not listed"
                  : late             ? "a second one replaces the first"
                                     : "more than one is told that it has won"));
}

void S3Store::hurry() { client_->hurry(); }

}  // namespace millrace::store
