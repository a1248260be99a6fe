#include "base/crash_point.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace millrace {
namespace {

void pass_three_times() {
  for (int pass = 1; pass <= 3; ++pass) {
    crash_point("append");
    crash_point("flush");
    std::fprintf(stderr, "passed %d\n", pass);
  }
  std::_Exit(7);
}

// Sets the variable for the child process of a death test, which is started afresh.
class CrashPoint : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  void TearDown() override { unsetenv("MILLRACE_CRASH_POINT"); }
  void arm(const std::string& value) { setenv("MILLRACE_CRASH_POINT", value.c_str(), 1); }
};

TEST_F(CrashPoint, DoesNothingUnlessTheEnvironmentNamesIt) {
  EXPECT_EXIT(pass_three_times(), testing::ExitedWithCode(7), "passed 3");
  arm("another");
  EXPECT_EXIT(pass_three_times(), testing::ExitedWithCode(7), "passed 3");
}

TEST_F(CrashPoint, KillsAtTheFirstPass) {
  arm("flush");
  EXPECT_EXIT(pass_three_times(), testing::KilledBySignal(SIGKILL), "^$");
}

TEST_F(CrashPoint, KillsAtThePassThatIsNamed) {
  arm("flush:3");
  EXPECT_EXIT(pass_three_times(), testing::KilledBySignal(SIGKILL), "passed 2\n$");
}

}  // namespace
}  // namespace millrace
