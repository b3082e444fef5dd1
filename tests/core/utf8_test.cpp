#include "omni/core/utf8.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni {
namespace {

using namespace std::string_literals;

std::string refusal(const std::string& bytes) {
  try {
    decode_text(bytes, "t.csv");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "no error";
}

TEST(Utf8, TellsWhereItEnds) {
  for (const auto& valid :
       {"", "plain", "caf\u00e9", "\u4e16\u754c \U0001F600", "\u07ff\u0800\uffff\U00010000\U0010ffff"})
    EXPECT_TRUE(is_utf8(valid)) << valid;
  EXPECT_TRUE(is_utf8("a\0b"s));
  // The table of well-formed bytes in RFC 3629.
  for (const std::string broken :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xE2\x82",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_EQ(find_invalid_utf8(broken), 0u);
    EXPECT_EQ(find_invalid_utf8("eight bytes, and more" + broken + "."), 21u);
  }
}

TEST(Utf8, TellsTextsThatSayNothing) {
  for (const std::string& nothing :
       {""s, " \t\r\n\v\f"s, "\x01\x02\x7f\n"s, "\0"s, "\u0085\u009f"s, "\u00a0\u2003 \u3000\u2028"s})
    EXPECT_TRUE(is_blank(nothing)) << printable(nothing);
  for (const std::string& something :
       {" a"s, "\x01.\x02"s, "\u00a1"s, "\u4e16"s, "\u2003\U0001F600"s, " \xA0"s})
    EXPECT_FALSE(is_blank(something)) << printable(something);
}

TEST(Utf8, ReadsTextInUtf16AndWithAMark) {
  const std::string text = "a \u00e9\u4e16\U0001F600\nb";
  EXPECT_EQ(decode_text("\xEF\xBB\xBF" + text, "t"), text);
  EXPECT_EQ(decode_text(text, "t"), text);
  std::string little = "\xFF\xFE"s, big = "\xFE\xFF"s;
  for (const char16_t unit : u"a \u00e9\u4e16\U0001F600\nb"s) {
    little += {static_cast<char>(unit & 0xFF), static_cast<char>(unit >> 8)};
    big += {static_cast<char>(unit >> 8), static_cast<char>(unit & 0xFF)};
  }
  EXPECT_EQ(decode_text(little, "t"), text);
  EXPECT_EQ(decode_text(big, "t"), text);
  // Without a mark the zeros tell.
  EXPECT_EQ(decode_text("p\0a\0t\0h\0,\0"s, "t"), "path,");
  EXPECT_EQ(decode_text("\0p\0a\0t\0h\0,"s, "t"), "path,");
}

TEST(Utf8, NamesLineByteAndWhatToConvertFrom) {
  const std::string latin = refusal("path,caption\na.obj,caf\xE9\n");
  for (const char* part : {"t.csv:2", "byte 23", "xe9", "UTF-8", "WINDOWS-1252"})
    EXPECT_NE(latin.find(part), std::string::npos) << latin;
  EXPECT_NE(refusal("one\rtwo\r\nthree\x81").find("t.csv:3"), std::string::npos);
  EXPECT_NE(refusal("\xFF\xFE\0\0a\0\0\0"s).find("UTF-32"), std::string::npos);
  EXPECT_NE(refusal("\xFF\xFE"s + "a\0b"s).find("cut off"), std::string::npos);
  EXPECT_NE(refusal("\xFE\xFF"s + "\xDC\x00"s + "a"s).find("UTF-16"), std::string::npos);
}

TEST(Utf8, EscapesWhatAMessageQuotes) {
  EXPECT_EQ(printable("caf\u00e9 \"x\""), "caf\u00e9 \"x\"");
  EXPECT_EQ(printable("a\rb\nc\td\x1b[31m\x7f\0"s), "a\\rb\\nc\\td\\x1b[31m\\x7f\\x00");
  EXPECT_EQ(printable("caf\xE9\xC2\x9B!"), "caf\\xe9\\xc2\\x9b!");
  EXPECT_EQ(printable("\u00e9\u00e9\u00e9", 3), "\u00e9...");
  EXPECT_EQ(printable_message("line 1\n\tline 2\x1b[2J\r"), "line 1\n\tline 2\\x1b[2J\\r");
}

}  // namespace
}  // namespace omni
