#include "writer/batch_keys.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/time_text.h"
#include "columnar/text_times.h"

namespace millrace::writer {
namespace {

// Hosts' clocks differ: a batch may come behind one that was received a little later. Where it is
// more than this, the keys are loaded again.
constexpr auto slack = std::chrono::minutes(5);

// Whether the file may hold batches received at `since` or later. Bounds are in milliseconds.
bool may_hold(const delta::AddFile& file, Timestamp since) {
  const auto stats = nlohmann::json::parse(file.stats_json, nullptr, false);
  const nlohmann::json::json_pointer place("/maxValues/received_at");
  if (!stats.is_object() || !stats.contains(place) || !stats[place].is_string()) return true;
  const auto latest = parse_rfc3339(stats[place].get<std::string>());
  return !latest || *latest + std::chrono::milliseconds(1) >= since;
}

}  // namespace

Result<void> BatchKeys::load(store::ObjectStore& store, delta::DeltaTable& table,
                             Timestamp received_at) {
  if (loaded_since_ && received_at - options_.window >= *loaded_since_) return {};
  MR_TRY(table.refresh());
  const Timestamp since = received_at - options_.window - slack;
  std::size_t files = 0;
  for (const auto& [path, file] : table.snapshot().files) {
    if (!may_hold(file, since)) continue;
    ++files;
    const auto take = [&](std::string_view key, Timestamp at) {
      if (at >= since) remember(hash_of(key), at);
      // Files are in no order of time: sorting each time would cost more than twice the limit.
      if (arrivals_.size() > 2 * options_.keys_max) {
        sort_arrivals();
        evict();
      }
    };
    auto read = columnar::read_text_times(store, table.root() + "/" + path,
                                          {"batch_id", "received_at"}, take);
    if (!read && read.error().code == Errc::not_found) {
      // Compacted and vacuumed meanwhile: the table tells what is there now.
      return fail(Errc::unavailable, read.error().message);
    }
    if (!read) return read;
  }
  sort_arrivals();
  evict();
  loaded_since_ = since;
  log(LogLevel::info, "writer: loaded the keys of batches",
      {{"table", table.root()}, {"files", files}, {"keys", latest_.size()}});
  return {};
}

void BatchKeys::clear() {
  latest_.clear();
  arrivals_.clear();
  loaded_since_.reset();
  is_cut_short_ = false;
}

bool BatchKeys::contains(std::string_view key, Timestamp received_at) const {
  const auto found = latest_.find(hash_of(key));
  return found != latest_.end() && received_at - found->second <= options_.window;
}

void BatchKeys::add(std::string_view key, Timestamp received_at) {
  if (remember(hash_of(key), received_at)) evict();
}

std::chrono::microseconds BatchKeys::effective_window() const {
  if (!is_cut_short_ || arrivals_.empty()) return options_.window;
  const auto reach = arrivals_.back().received_at - arrivals_.front().received_at;
  return std::clamp<std::chrono::microseconds>(reach, std::chrono::microseconds::zero(),
                                               options_.window);
}

BatchKeys::Hash BatchKeys::hash_of(std::string_view key) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  Hash hash{};
  static_assert(sizeof hash <= sizeof digest);
  std::memcpy(&hash, digest.data(), sizeof hash);
  return hash;
}

bool BatchKeys::remember(const Hash& key, Timestamp received_at) {
  const auto [place, is_new] = latest_.emplace(key, received_at);
  if (!is_new && received_at <= place->second) return false;
  place->second = received_at;
  arrivals_.push_back({key, received_at});
  return true;
}

void BatchKeys::sort_arrivals() {
  std::stable_sort(arrivals_.begin(), arrivals_.end(), [](const Arrival& a, const Arrival& b) {
    return a.received_at < b.received_at;
  });
}

void BatchKeys::evict() {
  while (arrivals_.size() > options_.keys_max) {
    const Arrival& oldest = arrivals_.front();
    const auto found = latest_.find(oldest.key);
    if (found != latest_.end() && found->second == oldest.received_at) {
      latest_.erase(found);
      is_cut_short_ = true;
    }
    arrivals_.pop_front();
  }
}

}  // namespace millrace::writer
