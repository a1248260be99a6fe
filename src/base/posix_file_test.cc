#include "base/posix_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/testing/temp_directory.h"

namespace millrace {
namespace {

bool is_open_in_kernel(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(FileDescriptor, ClosesOnceWhoeverOwnsItLast) {
  const TempDirectory directory;
  auto opened = open_file(directory.path_of("a"), O_CREAT | O_WRONLY);
  ASSERT_TRUE(opened);
  const int fd = opened->get();
  {
    FileDescriptor owner = *std::move(opened);
    EXPECT_FALSE(opened->is_open());
    FileDescriptor last;
    last = std::move(owner);
    EXPECT_FALSE(owner.is_open());
    EXPECT_EQ(last.get(), fd);
    EXPECT_TRUE(is_open_in_kernel(fd));
  }
  EXPECT_FALSE(is_open_in_kernel(fd));
}

TEST(FileDescriptor, AssignmentClosesWhatItHeld) {
  const TempDirectory directory;
  auto first = open_file(directory.path_of("a"), O_CREAT | O_WRONLY);
  auto second = open_file(directory.path_of("b"), O_CREAT | O_WRONLY);
  ASSERT_TRUE(first && second);
  const int fd = first->get();
  *first = *std::move(second);
  EXPECT_FALSE(is_open_in_kernel(fd));
  EXPECT_TRUE(first->is_open());
}

TEST(OpenFile, IsNotInheritedByChildProcesses) {
  const TempDirectory directory;
  const auto file = open_file(directory.path_of("a"), O_CREAT | O_WRONLY);
  ASSERT_TRUE(file);
  EXPECT_TRUE(fcntl(file->get(), F_GETFD) & FD_CLOEXEC);
}

TEST(OpenFile, SaysWhichPathAndWhy) {
  const TempDirectory directory;
  const std::string path = directory.path_of("absent");
  const auto absent = open_file(path, O_RDONLY);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Errc::not_found);
  EXPECT_EQ(absent.error().message, "opening " + path + ": No such file or directory");

  directory.write("present", "");
  const auto present = open_file(directory.path_of("present"), O_CREAT | O_EXCL | O_WRONLY);
  ASSERT_FALSE(present);
  EXPECT_EQ(present.error().code, Errc::already_exists);
}

TEST(ErrnoError, TellsAFullDiskFromOtherFailures) {
  for (const int full : {ENOSPC, EDQUOT, EMFILE, ENFILE}) {
    EXPECT_EQ(errno_error("writing", "a", full).code, Errc::exhausted);
  }
  EXPECT_EQ(errno_error("writing", "a", EIO).code, Errc::unavailable);
}

TEST(WriteAll, WritesBytesThatReadFileReturns) {
  const TempDirectory directory;
  const std::string path = directory.path_of("a");
  std::string bytes(300'000, 'x');
  bytes[70'000] = '\0';
  {
    const auto file = open_file(path, O_CREAT | O_WRONLY);
    ASSERT_TRUE(file);
    ASSERT_TRUE(write_all(file->get(), bytes, path));
    ASSERT_TRUE(sync_data(file->get(), path));
  }
  ASSERT_TRUE(sync_directory(directory.path()));
  const auto read_back = read_file(path);
  ASSERT_TRUE(read_back);
  EXPECT_EQ(*read_back, bytes);
}

TEST(WriteAll, GoesOnAfterAShortWrite) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const FileDescriptor reader(ends[0]);
  const FileDescriptor writer(ends[1]);
  ASSERT_EQ(fcntl(writer.get(), F_SETFL, O_NONBLOCK), 0);
  // A pipe takes part of this, then says that it would block.
  const auto written = write_all(writer.get(), std::string(1 << 20, 'x'), "the pipe");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::unavailable);
}

TEST(WriteAll, ReportsAFullDisk) {
  const auto full = open_file("/dev/full", O_WRONLY);
  ASSERT_TRUE(full);
  const auto written = write_all(full->get(), "x", "/dev/full");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::exhausted);
}

TEST(CreateDirectories, MakesParentsAndAcceptsWhatIsThere) {
  const TempDirectory directory;
  for (const char* const name : {"a/b/c", "a/b/c", "a/b/d/", "e//f"}) {
    ASSERT_TRUE(create_directories(directory.path_of(name))) << name;
    EXPECT_TRUE(sync_directory(directory.path_of(name))) << name;
  }
}

TEST(CreateDirectories, RefusesAFileInItsWay) {
  const TempDirectory directory;
  directory.write("a", "");
  const auto created = create_directories(directory.path_of("a/b"));
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().message,
            "creating the directory " + directory.path_of("a") + ": Not a directory");
  EXPECT_FALSE(create_directories(""));
}

}  // namespace
}  // namespace millrace
