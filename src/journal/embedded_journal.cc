#include "journal/embedded_journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <utility>

#include "base/posix_file.h"
#include "journal/embedded_consumer.h"
#include "journal/group_commit.h"
#include "journal/segment_log.h"

namespace millrace::journal {

namespace {

Result<FileDescriptor> lock_directory(const std::string& directory) {
  const std::string path = directory + "/lock";
  MR_TRY_ASSIGN(FileDescriptor file, open_file(path, O_RDWR | O_CREAT));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return fail(Errc::already_exists,
                  fmt::format("{} is locked: another millrace runs on this data directory", path));
    }
    return tl::unexpected(errno_error("locking", path, errno));
  }
  return file;
}

class EmbeddedJournalImpl final : public EmbeddedJournal {
 public:
  EmbeddedJournalImpl(EmbeddedJournalOptions options, FileDescriptor lock,
                      std::unique_ptr<JournalFiles> files, std::unique_ptr<SegmentLog> log,
                      MetricsRegistry& metrics)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        files_(std::move(files)),
        log_(std::move(log)),
        metrics_(metrics),
        appender_(options_, *log_, metrics, [this] { signal_.notify(); }) {}

  Appender& appender() override { return appender_; }

  Result<std::unique_ptr<Consumer>> open_consumer(Consumer::Listener& listener) override {
    return std::make_unique<EmbeddedConsumer>(options_, *log_, signal_, metrics_, listener);
  }

  void close() override { appender_.close(); }

 private:
  const EmbeddedJournalOptions options_;
  const FileDescriptor lock_;
  const std::unique_ptr<JournalFiles> files_;
  const std::unique_ptr<SegmentLog> log_;
  MetricsRegistry& metrics_;
  DurableSignal signal_;
  GroupCommit appender_;
};

}  // namespace

Result<std::unique_ptr<EmbeddedJournal>> EmbeddedJournal::open(
    EmbeddedJournalOptions options, MetricsRegistry& metrics, std::unique_ptr<JournalFiles> files) {
  MR_TRY(create_directories(options.directory));
  MR_TRY_ASSIGN(FileDescriptor lock, lock_directory(options.directory));
  if (!files) files = open_journal_files(options.directory);
  MR_TRY_ASSIGN(auto log,
                SegmentLog::open({options.directory, options.segment_size_bytes_max}, *files));
  return std::make_unique<EmbeddedJournalImpl>(std::move(options), std::move(lock),
                                               std::move(files), std::move(log), metrics);
}

}  // namespace millrace::journal
