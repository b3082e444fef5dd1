#include "omni/evaluation/result_log.h"

#include <gtest/gtest.h>

#include <fstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni::evaluation {
namespace {

UnitResult example(const std::string& key) {
  UnitResult unit{.key = key, .bundle = "b", .task = "text->shape", .setting = "s", .samples = {}};
  unit.seed = 4;
  unit.seconds = 1.5;
  SampleResult sample{.object = "chair-1",
                      .split = "train",
                      .class_name = "chair",
                      .prompt = "a \"red\" chair\n<b>",
                      .text = {},
                      .metrics = {},
                      .pictures = {}};
  sample.metrics = {{"iou", 0.75}, {"closed", 1}};
  sample.pictures = {{"generated", "samples/x.png"}};
  unit.samples = {sample, sample};
  return unit;
}

TEST(ResultLog, KeepsUnitsOverRuns) {
  const test::TemporaryDirectory folder;
  {
    ResultLog log(folder / "results.jsonl");
    EXPECT_EQ(log.find("one"), nullptr);
    log.append(example("one"));
    log.append(example("two"));
  }
  const ResultLog log(folder / "results.jsonl");
  ASSERT_NE(log.find("two"), nullptr);
  EXPECT_EQ(*log.find("one"), example("one"));
  EXPECT_EQ(log.size(), 2u);
}

TEST(ResultLog, CutsOffATornLastLine) {
  const std::string whole = to_json_line(example("one")) + "\n";
  const std::string torn = to_json_line(example("two"));
  for (const std::size_t length : {std::size_t{1}, torn.size() / 2, torn.size()}) {
    const test::TemporaryDirectory folder;
    const auto path = folder / "results.jsonl";
    write_file_atomically(path, std::string_view(whole + torn.substr(0, length)));
    {
      ResultLog log(path);
      EXPECT_EQ(log.size(), 1u);
      EXPECT_EQ(log.find("two"), nullptr);
      log.append(example("two"));
    }
    EXPECT_EQ(ResultLog(path).size(), 2u);
    EXPECT_EQ(read_file_text(path), whole + torn + "\n");
  }
}

TEST(ResultLog, NamesABrokenLine) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "results.jsonl",
                        std::string_view(to_json_line(example("one")) + "\n{\"key\": 3}\n"));
  try {
    const ResultLog log(folder / "results.jsonl");
    FAIL() << "a broken line was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos) << error.what();
  }
}

TEST(ResultLog, ReportsAFolderThatCannotBeWritten) {
  ResultLog log("/nonexistent/results.jsonl");
  EXPECT_THROW(log.append(example("one")), Error);
}

TEST(ResultLog, SurvivesTruncationsAndByteFlips) {
  const std::string line = to_json_line(example("one"));
  for (std::size_t length = 0; length < line.size(); ++length) {
    EXPECT_THROW((void)parse_unit(line.substr(0, length), "x"), Error);
  }
  for (std::size_t i = 0; i < line.size(); ++i) {
    for (const char flip : {'\x01', '\x20', '\x7f'}) {
      std::string changed = line;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      try {
        (void)parse_unit(changed, "x");
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace omni::evaluation
