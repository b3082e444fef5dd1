// What `omni plot` replaces, and what it does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "forked_run.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Plot : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "out/run/checkpoints");
    std::string lines;
    for (int step = 1; step <= 3; ++step)
      lines += concat("{\"stage\":\"pretrain\",\"step\":", step, ",\"loss\":", 1.0 / step, "}\n");
    write_file_atomically(folder_ / "out/run/metrics.jsonl", std::string_view(lines));
  }
  Ending plot(const std::string& out) const {
    return run_forked({"plot", "out/run", "--out", out}, folder_.path());
  }
  void expect_refused(const std::string& out, const std::string& words) const {
    const Ending ending = plot(out);
    EXPECT_EQ(ending.code, exit_code(ErrorKind::usage)) << ending.output;
    EXPECT_THAT(ending.output, HasSubstr(words));
    EXPECT_TRUE(fs::exists(folder_ / "out/run/checkpoints"));
    EXPECT_TRUE(fs::exists(folder_ / "out/run/metrics.jsonl"));
  }

  const test::TemporaryDirectory folder_;
};

TEST_F(Plot, AMissingRunIsAMissingFile) {
  const Ending ending = run_forked({"plot", "out/absent", "--out", "a.html"}, folder_.path());
  EXPECT_EQ(ending.code, exit_code(ErrorKind::io));
  EXPECT_THAT(ending.output, HasSubstr("'out/absent' holds no run"));
}

// A page beside a run has the name by which a folder of results is known.
TEST_F(Plot, RunsAreNotReplaced) {
  for (const char* page : {"out/run/curves.html", "out/curves.html"}) EXPECT_EQ(plot(page).code, 0);
  for (const char* place : {"out/run", "out/run/", "out", ".", "out/../out/run"})
    expect_refused(place, "it holds ");
}

TEST_F(Plot, ItsOwnFolderIsReplacedAndNoOther) {
  for (int i = 0; i < 2; ++i) {
    const Ending ending = plot("out/plots");
    EXPECT_EQ(ending.code, 0) << ending.output;
  }
  EXPECT_TRUE(fs::exists(folder_ / "out/plots/loss.svg"));
  write_file_atomically(folder_ / "out/plots/notes.txt", std::string_view("mine"));
  expect_refused("out/plots", "it holds 'notes.txt'");
  EXPECT_TRUE(fs::exists(folder_ / "out/plots/notes.txt"));
  fs::rename(folder_ / "out/plots/notes.txt", folder_ / "out/plots/logo.svg");
  expect_refused("out/plots", "it holds 'logo.svg'");
  EXPECT_TRUE(fs::exists(folder_ / "out/plots/logo.svg"));
}

}  // namespace
}  // namespace omni::tools
