#include "omni/core/json_text.h"

#include <gtest/gtest.h>

namespace omni {
namespace {

TEST(JsonText, ReadsWhatItWrites) {
  const nlohmann::json json = {{"b", {1, 2.5, "three"}}, {"a", nullptr}};
  EXPECT_EQ(json_text(json), R"({"a":null,"b":[1,2.5,"three"]})");
  EXPECT_EQ(json_text(json, 1), "{\n \"a\": null,\n \"b\": [\n  1,\n  2.5,\n  \"three\"\n ]\n}");
  EXPECT_EQ(parse_json(json_text(json)), json);
  EXPECT_EQ(parse_json_or_discard(json_text(json, 2)), json);
}

TEST(JsonText, OrderedObjectsKeepTheirOrder) {
  const std::string text = R"({"b":1,"a":2})";
  EXPECT_EQ(json_text(parse_json<nlohmann::ordered_json>(text)), text);
  EXPECT_EQ(json_text(parse_json_or_discard<nlohmann::ordered_json>(text)), text);
}

TEST(JsonText, WhatIsNoJsonIsThrownOrDiscarded) {
  for (const char* text : {"", "{", "[1,]", "{\"a\":1} 2", "\"\xff\""}) {
    EXPECT_THROW((void)parse_json(text), nlohmann::json::exception) << text;
    EXPECT_TRUE(parse_json_or_discard(text).is_discarded()) << text;
  }
}

TEST(JsonText, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  EXPECT_EQ(json_text(nlohmann::json("a\xff")), "\"a\xef\xbf\xbd\"");
  EXPECT_EQ(json_text(nlohmann::ordered_json("a\xff")), "\"a\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace omni
