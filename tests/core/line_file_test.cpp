#include "omni/core/line_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstdlib>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/run_metrics.h"
#include "temporary_directory.h"

namespace omni {
namespace {

TEST(LineFile, AppendsToWhatIsThere) {
  const test::TemporaryDirectory folder;
  for (const char* line : {"one", "two"}) LineFile(folder / "log").append(line);
  EXPECT_EQ(read_file_text(folder / "log"), "one\ntwo\n");
}

TEST(LineFile, NamesAPlaceThatCannotBeWrittenTo) {
  try {
    LineFile file("/nonexistent-folder/log");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.what(), testing::HasSubstr("/nonexistent-folder/log"));
  }
  LineFile full("/dev/full");
  EXPECT_THROW(full.append("x"), Error);
}

// A file size limit stands in for a full disk: write(2) stops in the middle of the line in both.
TEST(LineFile, ALineThatDoesNotFitIsTakenBack) {
  const test::TemporaryDirectory folder;
  const auto write_too_much = [&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{64, 64};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) std::exit(2);
    LineFile file(folder / "log");
    file.append("whole");
    try {
      file.append(std::string(100, 'x'));
    } catch (const Error& error) {
      std::exit(error.kind() == ErrorKind::io ? 0 : 3);
    }
    std::exit(1);
  };
  EXPECT_EXIT(write_too_much(), testing::ExitedWithCode(0), "");
  EXPECT_EQ(read_file_text(folder / "log"), "whole\n");
}

TEST(RunMetrics, WritesNumbersAndTextsAndNullForWhatIsNotFinite) {
  const test::TemporaryDirectory folder;
  RunMetrics(folder / "m")
      .write({{"step", 3}, {"loss", std::nan("")}, {"rate", 0.5}}, {{"stage", "pretrain"}});
  EXPECT_EQ(read_file_text(folder / "m"), "{\"stage\":\"pretrain\",\"step\":3,\"loss\":null,\"rate\":0.5}\n");
}

TEST(RunMetrics, AResumedRunForgetsTheStepsThatItRepeats) {
  const test::TemporaryDirectory folder;
  {
    RunMetrics metrics(folder / "m");
    for (const double step : {1, 2, 3, 4}) metrics.write({{"step", step}});
  }
  // A process that was killed may leave a torn line, too.
  const std::string whole = read_file_text(folder / "m");
  write_file_atomically(folder / "m", std::string_view(whole + "{\"step\":5"));
  keep_metrics_until(folder / "m", 2);
  EXPECT_EQ(read_file_text(folder / "m"), "{\"step\":1}\n{\"step\":2}\n");
  keep_metrics_until(folder / "absent", 2);
  EXPECT_FALSE(std::filesystem::exists(folder / "absent"));
}

}  // namespace
}  // namespace omni
