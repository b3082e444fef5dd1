#include "omni/data/csv.h"

#include <gtest/gtest.h>

#include "damage.h"
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

TEST(Csv, BadRowsCostThemselves) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"1", "number of fields"},       {"1,2,3", "number of fields"},
      {"\"x\"y,2", "closing quote"},   {"1,\"an \"inner\" quote\"", "closing quote"},
      {std::string("1,\0", 3), "NUL"}, {std::string("1,\"a\0b\"", 7), "NUL"},
  };
  for (const auto& [row, kind] : cases) {
    const CsvTable table = parse_csv("a,b\nx,y\n" + row + "\nz,w\n", "t.csv");
    ASSERT_EQ(table.rows.size(), 2u) << row;
    EXPECT_EQ(table.rows[1].fields, (Fields{"z", "w"})) << row;
    ASSERT_EQ(table.left_out.size(), 1u) << row;
    EXPECT_EQ(table.left_out[0].line, 3);
    EXPECT_NE(table.left_out[0].kind.find(kind), std::string::npos) << table.left_out[0].kind;
  }
}

// The rows after it are read, whether the quote is closed nowhere or by the next one that is opened.
TEST(Csv, AnUnclosedQuoteCostsItsLine) {
  for (const std::string last : {"z,w\n", "z,\"w\"\n", "z,w"}) {
    const CsvTable table = parse_csv("a,b\nx,y\n1,\"open\nu,v\n" + last, "t.csv");
    ASSERT_EQ(table.rows.size(), 3u) << last;
    EXPECT_EQ(table.rows[1].fields, (Fields{"u", "v"})) << last;
    EXPECT_EQ(table.rows[1].line, 4) << last;
    EXPECT_EQ(table.rows[2].fields, (Fields{"z", "w"})) << last;
    EXPECT_EQ(table.rows[2].line, 5) << last;
    ASSERT_EQ(table.left_out.size(), 1u) << last;
    EXPECT_EQ(table.left_out[0].line, 3) << last;
    EXPECT_NE(table.left_out[0].kind.find("quoted field"), std::string::npos) << table.left_out[0].kind;
  }
  // Opened in the second line of its row, whose first field is whole.
  const CsvTable table = parse_csv("a,b\n\"1\n2\",\"open\nu,v\n", "t.csv");
  ASSERT_EQ(table.rows.size(), 1u);
  EXPECT_EQ(table.rows[0].line, 4);
  EXPECT_EQ(table.left_out.at(0).line, 2);
  EXPECT_TRUE(parse_csv("a,b\n1,\"", "t.csv").rows.empty());
}

// A file may have one in each of its lines.
TEST(Csv, ManyUnclosedQuotesAreReadInOnePass) {
  constexpr std::int64_t kLines = 300'000;
  std::string text = "a,b\n";
  for (std::int64_t i = 0; i < kLines; ++i) text += "1,\"open\n";
  const CsvTable table = parse_csv(text, "t.csv");
  EXPECT_TRUE(table.rows.empty());
  EXPECT_EQ(table.left_out.size(), static_cast<std::size_t>(kLines));
}

TEST(Csv, ReadsTheHabitsOfPrograms) {
  const std::vector<std::string> forms = {
      "path,caption\na.obj,a red box\nb.obj,a box\n",
      "Path,CAPTION\na.obj,a red box\nb.obj,a box",
      "path;caption\r\na.obj;a red box\r\nb.obj;a box\r\n",
      "path\tcaption\na.obj\ta red box\nb.obj\ta box\n",
      "path|caption\na.obj|a red box\nb.obj|a box\n",
      "path,caption\ra.obj,a red box\rb.obj,a box\r",
      "sep=,\npath,caption\na.obj,a red box\nb.obj,a box\n",
      "sep=;\r\npath;caption\r\na.obj;a red box\r\nb.obj;a box\r\n",
      "path,caption,\na.obj,a red box,\nb.obj,a box,\n",
      "path,caption\na.obj,a red box,,\nb.obj,a box\n",
      "path,caption\n,\na.obj,a red box\n\n , \nb.obj,a box\n,\n,\n",
      "path, caption\na.obj, \"a red box\"\nb.obj,\"a box\" \n",
      "\xEF\xBB\xBF\"path\",\"caption\"\na.obj,a red box\nb.obj,a box\n",
  };
  for (const std::string& form : forms) {
    const CsvTable table = parse_csv(form, "t.csv");
    ASSERT_EQ(table.find("path"), 0) << form;
    ASSERT_EQ(table.find("caption"), 1) << form;
    ASSERT_EQ(table.rows.size(), 2u) << form;
    const std::string& caption = table.rows[0].fields[1];
    EXPECT_EQ(caption.substr(caption.find_first_not_of(' ')), "a red box") << form;
    EXPECT_EQ(table.rows[1].fields[0], "b.obj") << form;
    EXPECT_TRUE(table.left_out.empty()) << form;
  }
  EXPECT_EQ(parse_csv("sep=;\npath;caption\na;b\n", "t.csv").rows[0].line, 3);
  EXPECT_EQ(parse_csv("path,caption\ra,b\rc,d\r", "t.csv").rows[1].line, 3);
  // The separator that the header has most of; others are text.
  EXPECT_EQ(parse_csv("path;caption\na;red, green\n", "t.csv").rows[0].fields[1], "red, green");
}

TEST(Csv, ReadsEncodingsOrSaysWhatToConvertFrom) {
  std::string wide = "\xFF\xFE";
  for (const char16_t unit : std::u16string(u"path,caption\na.obj,caf\u00e9\n"))
    wide += {static_cast<char>(unit & 0xFF), static_cast<char>(unit >> 8)};
  EXPECT_EQ(parse_csv(wide, "t.csv").rows[0].fields[1], "caf\u00e9");
  EXPECT_EQ(parse_csv(wide.substr(2), "t.csv").rows[0].fields[1], "caf\u00e9");
  try {
    parse_csv("path,caption\na.obj,plain\nb.obj,caf\xE9 \x93red\x94\n", "t.csv");
    FAIL();
  } catch (const Error& error) {
    for (const char* part : {"t.csv:3", "byte 35", "xe9", "WINDOWS-1252"})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Csv, SaysWhereAFileIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "empty"},
      {"\n , \n", "empty"},
      {"a,\"b\n1,2\n", "t.csv:1"},
      {std::string("a,b\0\n1,2\n", 9), "NUL"},
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
  test::for_each_damage(valid, parse);
}

}  // namespace
}  // namespace omni::data
