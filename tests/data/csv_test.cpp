#include "omni/data/csv.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::data {
namespace {

using Fields = std::vector<std::string>;

TEST(Csv, ReadsQuotesLineBreaksAndBothLineEndings) {
  const CsvTable table = parse_csv(
      "\xEF\xBB\xBFpath,caption\r\na.glb,\"a red, \"\"big\"\" chair\"\r\n\nb.glb,\"two\nlines\"\nc.glb,",
      "t.csv");
  EXPECT_EQ(table.columns, (Fields{"path", "caption"}));
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_EQ(table.rows[0].fields, (Fields{"a.glb", "a red, \"big\" chair"}));
  EXPECT_EQ(table.rows[1].fields, (Fields{"b.glb", "two\nlines"}));
  EXPECT_EQ(table.rows[1].line, 4);
  EXPECT_EQ(table.rows[2].fields, (Fields{"c.glb", ""}));
  EXPECT_EQ(table.rows[2].line, 6);
  EXPECT_EQ(table.find("caption"), 1);
  EXPECT_EQ(table.find("class"), -1);
}

TEST(Csv, SaysWhereARowIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "empty"},
      {"a,b\n1\n", "t.csv:2"},
      {"a,b\n1,2\n1,2,3\n", "t.csv:3"},
      {"a,b\n1,\"open\n", "t.csv:2"},
      {"a,b\n\"x\"y,2\n", "closing quote"},
      {std::string("a,b\n1,\0\n", 8), "NUL"},
  };
  for (const auto& [text, expected] : cases) {
    try {
      parse_csv(text, "t.csv");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
}

TEST(Csv, FieldsSurviveARoundTrip) {
  for (const std::string field :
       {"plain", "with, comma", "with \"quotes\"", "two\r\nlines", "", " spaces "}) {
    const CsvTable table = parse_csv("x,y\n" + csv_field(field) + ",1\n", "t.csv");
    ASSERT_EQ(table.rows.size(), 1u);
    EXPECT_EQ(table.rows[0].fields[0], field);
  }
}

TEST(Csv, TruncationsAndByteFlipsNeverCrash) {
  const std::string valid = "path,caption\r\n\"a,b.glb\",\"a \"\"x\"\" y\"\r\nc.glb,d\n";
  const auto parse = [](const std::string& text) {
    try {
      parse_csv(text, "t.csv");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  };
  for (std::size_t i = 0; i < valid.size(); ++i) {
    parse(valid.substr(0, i));
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = valid;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      parse(flipped);
    }
  }
}

}  // namespace
}  // namespace omni::data
