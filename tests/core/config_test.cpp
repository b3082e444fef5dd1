#include "omni/core/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "omni/core/config_values.h"
#include "omni/core/error.h"

namespace omni {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

struct Inner {
  double rate = 0.5;
};
struct Example {
  std::int64_t width = 64;
  int depth = 2;
  double scale = 1.0;
  bool fast = false;
  std::string name = "none";
  std::string mode = "a";
  std::vector<std::int64_t> sizes{1, 2};
  std::vector<Inner> items;
  std::vector<std::pair<std::string, double>> weights;
  Inner inner;
};

void describe(ConfigVisitor& v, Inner& c) { v.number("rate", c.rate, {0, 1}); }
void describe(ConfigVisitor& v, Example& c) {
  v.integer("width", c.width, {1, 4096});
  v.integer("depth", c.depth, {1, 100});
  v.number("scale", c.scale);
  v.flag("fast", c.fast);
  v.text("name", c.name);
  v.choice("mode", c.mode, {"a", "linear", "cosine"});
  v.integers("sizes", c.sizes, {0, 10});
  v.list(
      "items", c.items.size(), [&](std::size_t n) { c.items.resize(n); },
      [&](ConfigVisitor& item, std::size_t i) { describe(item, c.items[i]); });
  v.named_numbers("weights", c.weights, {.minimum = 0});
  v.section("inner", [&](ConfigVisitor& s) { describe(s, c.inner); });
}

Example read(const std::string& text, const std::vector<std::string>& overrides = {}) {
  Example example;
  ConfigFile::parse(text, "test.yaml", overrides).read([&](ConfigVisitor& v) { describe(v, example); });
  return example;
}

std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    read(text, overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  ADD_FAILURE() << "no error for: " << text;
  return "";
}

TEST(Config, ReadsEveryType) {
  const Example e = read(
      "width: 128\ndepth: 3\nscale: 1e-3\nfast: true\nname: hello\nmode: cosine\nsizes: [3, 4, 5]\n"
      "items:\n  - rate: 0.25\n  - {}\nweights: {text->shape: 3, other: 0.5}\ninner: {rate: 0.75}\n");
  EXPECT_EQ(e.width, 128);
  EXPECT_EQ(e.depth, 3);
  EXPECT_DOUBLE_EQ(e.scale, 1e-3);
  EXPECT_TRUE(e.fast);
  EXPECT_EQ(e.name, "hello");
  EXPECT_EQ(e.mode, "cosine");
  EXPECT_EQ(e.sizes, (std::vector<std::int64_t>{3, 4, 5}));
  ASSERT_EQ(e.items.size(), 2u);
  EXPECT_DOUBLE_EQ(e.items[0].rate, 0.25);
  EXPECT_DOUBLE_EQ(e.items[1].rate, 0.5);
  ASSERT_EQ(e.weights.size(), 2u);
  EXPECT_EQ(e.weights[0].first, "text->shape");
  EXPECT_DOUBLE_EQ(e.inner.rate, 0.75);
}

TEST(Config, AbsentKeysKeepTheirDefaults) {
  const Example e = read("");
  EXPECT_EQ(e.width, 64);
  EXPECT_DOUBLE_EQ(e.inner.rate, 0.5);
}

TEST(Config, UnknownKeyNamesPlaceAndNearestKey) {
  const std::string message = error_of("depth: 1\nwidht: 3\n");
  EXPECT_THAT(message, HasSubstr("test.yaml:2:1"));
  EXPECT_THAT(message, HasSubstr("'widht'"));
  EXPECT_THAT(message, HasSubstr("'width'"));
  EXPECT_THAT(error_of("inner:\n  rat: 1\n"), HasSubstr("'inner.rat'"));
}

TEST(Config, WrongTypesAndRangesNamePlaceAndWhatIsWanted) {
  EXPECT_THAT(error_of("width: wide\n"),
              HasSubstr("test.yaml:1:8: 'width' must be a whole number, not 'wide'"));
  EXPECT_THAT(error_of("width: 1.5\n"), HasSubstr("whole number"));
  EXPECT_THAT(error_of("width: 5000\n"), HasSubstr("'width' is 5000; it must be from 1 to 4096"));
  EXPECT_THAT(error_of("width: 99999999999999999999\n"), HasSubstr("must be from 1 to 4096"));
  for (const char* value : {".nan", ".inf", "nan", "-inf", "''", "1e308", "1e999"})
    EXPECT_THAT(error_of(std::string("scale: ") + value + "\n"), StartsWith("test.yaml:1:8: 'scale' "))
        << value;
  EXPECT_THAT(error_of("fast: maybe\n"), HasSubstr("true or false"));
  EXPECT_THAT(error_of("mode: cosin\n"), HasSubstr("cosine"));
  EXPECT_THAT(error_of("sizes: 3\n"), HasSubstr("a list"));
  EXPECT_THAT(error_of("items: [3]\n"), HasSubstr("items[0]"));
  EXPECT_THAT(error_of("inner: 3\n"), HasSubstr("mapping"));
  EXPECT_THAT(error_of("width: 1\nwidth: 2\n"), HasSubstr("twice"));
  EXPECT_THAT(error_of("- 1\n"), HasSubstr("mapping"));
  EXPECT_THAT(error_of("a: [1\n"), HasSubstr("YAML"));
  EXPECT_THAT(error_of("weights: {a: 1, a: 2}\n"), HasSubstr("test.yaml:1:17: the key 'weights.a'"));
  EXPECT_THAT(error_of("weights: {[a, b]: 1}\n"), HasSubstr("plain words"));
  EXPECT_THAT(error_of("[a, b]: 1\n"), HasSubstr("plain words"));
}

TEST(Config, FreeKeysAndItemsMayBeLimitedToAList) {
  const auto error_in = [](const std::string& text) -> std::string {
    std::vector<std::pair<std::string, double>> mixture;
    std::vector<std::string> splits;
    try {
      ConfigFile::parse(text, "test.yaml").read([&](ConfigVisitor& v) {
        v.named_numbers("mixture", mixture, {.minimum = 0}, {"text->shape", "image->shape"});
        v.texts("splits", splits, {"train", "new_instance"});
      });
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(error_in("mixture: {text->shape: 1}\nsplits: [train, new_instance]\n"), "");
  EXPECT_EQ(error_in("mixture:\n  text->shap: 1\n"),
            "test.yaml:2:3: unknown key 'mixture.text->shap'. Did you mean 'text->shape'?");
  EXPECT_THAT(error_in("splits: [train,\n  new_instanc]\n"),
              AllOf(StartsWith("test.yaml:2:3: 'splits' is 'new_instanc'"), HasSubstr("'new_instance'?")));
}

TEST(Config, MistakesInOverridesNameTheOverride) {
  EXPECT_THAT(error_of("width: 3\n", {"width=wide"}),
              StartsWith("--set width=wide: 'width' must be a whole number"));
  EXPECT_THAT(error_of("width: 3\n", {"inner.rate=2"}), StartsWith("--set inner.rate=2: "));
  EXPECT_THAT(error_of("width: 3\n", {"inner={rate: 2}"}), StartsWith("--set inner={rate: 2}: "));
  EXPECT_THAT(error_of("items: [{}, {}]\n", {"items.1.rate=2"}), StartsWith("--set items.1.rate=2: "));
  EXPECT_THAT(error_of("width: 3\n", {"widht=1"}),
              AllOf(StartsWith("--set widht=1: "), HasSubstr("'width'")));
  // The last of several says what holds, and the file's own mistakes keep their places.
  EXPECT_THAT(error_of("", {"width=a", "width=b"}), StartsWith("--set width=b: "));
  EXPECT_THAT(error_of("depth: 0\n", {"width=3"}), StartsWith("test.yaml:1:8: "));
}

TEST(Config, OverridesReachNestedKeysAndListItems) {
  const Example e = read("items: [{rate: 0.1}, {rate: 0.2}]\n",
                         {"inner.rate=0.9", "items.1.rate=0.3", "sizes=[7]", "weights.a->b=2"});
  EXPECT_DOUBLE_EQ(e.inner.rate, 0.9);
  EXPECT_DOUBLE_EQ(e.items[1].rate, 0.3);
  EXPECT_EQ(e.sizes, std::vector<std::int64_t>{7});
  ASSERT_EQ(e.weights.size(), 1u);
  EXPECT_THAT(error_of("", {"inner.rat=1"}), HasSubstr("inner.rat"));
  EXPECT_THAT(error_of("", {"nothing"}), HasSubstr("key=value"));
  EXPECT_THAT(error_of("width: 1\n", {"width.x=1"}), HasSubstr("plain value"));
}

TEST(Config, WrittenConfigReadsBackEqual) {
  Example e = read("scale: 0.1\nweights: {a->b: 0.3}\nitems: [{rate: 0.7}]\nname: 'x: y'\n");
  const std::string text = config_to_yaml([&](ConfigVisitor& v) { describe(v, e); });
  Example back = read(text);
  EXPECT_EQ(config_to_yaml([&](ConfigVisitor& v) { describe(v, back); }), text);
  EXPECT_EQ(back.scale, 0.1);
  EXPECT_EQ(back.name, "x: y");
}

TEST(Config, KeysAddedLaterAreWrittenOnlyWhereTheyCount) {
  std::int64_t width = 3, blocks = 0;
  const auto description = [&](ConfigVisitor& v) {
    v.integer("width", width);
    v.added_later(blocks == 0,
                  [&](ConfigVisitor& added) { added.integer("blocks", blocks, {.minimum = 0}); });
  };
  const std::string before = "width: 3\n";
  EXPECT_EQ(config_to_yaml(description), before);
  ConfigFile::parse("width: 3\nblocks: 2\n", "test.yaml").read(description);
  EXPECT_EQ(blocks, 2);
  EXPECT_EQ(config_to_yaml(description), before + "blocks: 2\n");
}

TEST(Config, ValuesAreListedByKey) {
  Example e = read("scale: 0.1\nweights: {b: 0.3, a: 2}\nitems: [{rate: 0.7}, {}]\nname: 'x: y'\n");
  std::string all;
  for (const ConfigValue& value : config_values([&](ConfigVisitor& v) { describe(v, e); }))
    all += value.key + " = " + value.text + "\n";
  EXPECT_EQ(all,
            "width = 64\ndepth = 2\nscale = 0.1\nfast = false\nname = x: y\nmode = a\nsizes = [1, 2]\n"
            "items[0].rate = 0.7\nitems[1].rate = 0.5\nweights = {b: 0.3, a: 2}\ninner.rate = 0.5\n");
}

TEST(Config, AKeyStandsInItsSection) {
  EXPECT_TRUE(is_within("model", "model"));
  EXPECT_TRUE(is_within("model.width", "model"));
  EXPECT_TRUE(is_within("tasks[0].name", "tasks"));
  EXPECT_FALSE(is_within("models", "model"));
  EXPECT_FALSE(is_within("model", "model.width"));
}

TEST(NearestWord, FindsTyposAndGivesUpOnForeignWords) {
  EXPECT_EQ(nearest_word("learning_rat", {"layers", "learning_rate"}), "learning_rate");
  EXPECT_EQ(nearest_word("zzzzzzzz", {"width", "depth"}), "");
}

}  // namespace
}  // namespace omni
