#include "omni/tokenizers/text_tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/random.h"
#include "temporary_directory.h"

namespace omni::tokenizers {
namespace {

const std::filesystem::path fixtures = std::filesystem::path(OMNI_TEST_FIXTURES) / "text";

std::vector<std::pair<std::string, std::string>> few_merges() {
  return {{"h", "e"},    {"l", "l"},       {"he", "ll"}, {" ", "w"},
          {"hell", "o"}, {"\xC3", "\xA9"}, {"a", "a"},   {"aa", "a"}};
}

std::string random_bytes(CounterRng& rng, std::size_t count) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(rng.chance(0.6) ? 'a' + rng.below(26) : rng.below(256));
  return bytes;
}

// The expected ids were made with Hugging Face's own library.
class ReferenceText : public testing::TestWithParam<std::string> {};

TEST_P(ReferenceText, TokenIdsAreTheSame) {
  const auto tokenizer = TextTokenizer::load(fixtures / (GetParam() + ".json"));
  const auto cases = parse_json(read_file_text(fixtures / (GetParam() + "_expected.json")));
  ASSERT_GT(cases.size(), 100u);
  for (const auto& expected : cases) {
    const auto text = expected.at("text").get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), expected.at("ids").get<std::vector<std::int32_t>>()) << text;
    EXPECT_EQ(tokenizer.encode(text, true), expected.at("with_special").get<std::vector<std::int32_t>>())
        << text;
  }
}

TEST_P(ReferenceText, SavingAndLoadingKeepsEveryId) {
  const test::TemporaryDirectory folder;
  const auto path = folder / "saved.json";
  const auto tokenizer = TextTokenizer::load(fixtures / (GetParam() + ".json"));
  tokenizer.save(path);
  const auto again = TextTokenizer::load(path);
  EXPECT_EQ(again.vocabulary_size(), tokenizer.vocabulary_size());
  const std::string text = "It's 12 red chairs,\n  caf\xC3\xA9s & more";
  EXPECT_EQ(again.encode(text), tokenizer.encode(text));
}

TEST_P(ReferenceText, BrokenFilesAreErrors) {
  const std::string json = read_file_text(fixtures / (GetParam() + ".json"));
  for (std::size_t length = 0; length + 1 < json.size(); length += 1 + json.size() / 150) {
    EXPECT_THROW(TextTokenizer::parse(json.substr(0, length), "truncated"), Error) << length;
  }
  CounterRng rng(1);
  for (int i = 0; i < 150; ++i) {
    std::string damaged = json;
    damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
    try {
      const auto tokenizer = TextTokenizer::parse(damaged, "damaged");
      tokenizer.decode(tokenizer.encode("a small red chair"));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, ReferenceText,
                         testing::Values("gpt2_style", "prefix_space_style", "qwen_style", "clip_style"),
                         [](const auto& info) { return info.param; });

TEST(TextTokenizer, DecodesWhatItEncodedForAnyBytes) {
  const auto tokenizer = TextTokenizer::from_merges(few_merges());
  CounterRng rng(7);
  for (int i = 0; i < 300; ++i) {
    const std::string bytes = random_bytes(rng, rng.below(200));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(bytes)), bytes);
  }
}

TEST(TextTokenizer, ReferenceVocabulariesWithoutNormaliserRoundTrip) {
  const auto tokenizer = TextTokenizer::load(fixtures / "gpt2_style.json");
  CounterRng rng(8);
  for (int i = 0; i < 100; ++i) {
    const std::string bytes = random_bytes(rng, rng.below(100));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(bytes)), bytes);
  }
}

TEST(TextTokenizer, MergesByRankAndNumbersTokensInOrder) {
  const auto tokenizer = TextTokenizer::from_merges(few_merges());
  EXPECT_EQ(tokenizer.vocabulary_size(), 264);
  EXPECT_EQ(tokenizer.encode("hello"), (std::vector<std::int32_t>{256 + 4}));
  EXPECT_EQ(tokenizer.encode("!"), (std::vector<std::int32_t>{0}));  // the first byte in GPT-2's order
  EXPECT_EQ(tokenizer.encode("aaaa"), (std::vector<std::int32_t>{256 + 6, 256 + 6}));
}

// The heap of long words against the plain scan of short ones.
TEST(TextTokenizer, LongWordsMergeAsShortOnes) {
  const auto tokenizer =
      TextTokenizer::from_merges({{"a", "b"}, {"ab", "a"}, {"b", "a"}, {"aba", "ab"}, {"ba", "ba"}});
  const auto merge_slowly = [&](const std::string& word) {
    std::vector<std::string> parts;
    for (const char c : word) parts.emplace_back(1, c);
    const std::vector<std::pair<std::string, std::string>> order = {
        {"a", "b"}, {"ab", "a"}, {"b", "a"}, {"aba", "ab"}, {"ba", "ba"}};
    for (bool merged = true; merged;) {
      merged = false;
      for (const auto& [left, right] : order) {
        for (std::size_t i = 0; i + 1 < parts.size() && !merged; ++i) {
          if (parts[i] != left || parts[i + 1] != right) continue;
          parts[i] += right;
          parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
          merged = true;
        }
        if (merged) break;
      }
    }
    return parts;
  };
  CounterRng rng(9);
  for (const std::size_t length : {5, 60, 95, 96, 97, 150, 400}) {
    std::string word;
    for (std::size_t i = 0; i < length; ++i) word.push_back(rng.chance(0.5) ? 'a' : 'b');
    std::vector<std::string> parts;
    for (const std::int32_t id : tokenizer.encode(word)) parts.push_back(tokenizer.decode(std::array{id}));
    EXPECT_EQ(parts, merge_slowly(word)) << word;
  }
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(std::string(500'000, 'a'))).size(), 500'000u);
}

TEST(TextTokenizer, RefusesWhatItCannotReproduce) {
  const std::string json = read_file_text(fixtures / "gpt2_style.json");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = json;
    changed.replace(changed.find(from), from.size(), to);
    return changed;
  };
  const std::string normaliser = "\"normalizer\":null";
  EXPECT_THROW(TextTokenizer::parse(with(normaliser, R"("normalizer":{"type":"NFKC"})"), "x"), Error);
  EXPECT_THROW(TextTokenizer::parse(with("\"type\":\"BPE\"", R"("type":"Unigram")"), "x"), Error);
  EXPECT_THROW(TextTokenizer::parse(with("\"type\":\"ByteLevel\"", R"("type":"Metaspace")"), "x"), Error);
  EXPECT_THROW(TextTokenizer::parse("[]", "x"), Error);
  EXPECT_THROW(TextTokenizer::load(fixtures / "absent.json"), Error);
  EXPECT_THROW(TextTokenizer::from_merges({{"ab", "c"}}), Error);
  EXPECT_THROW(TextTokenizer::from_merges({}).decode(std::array{256}), Error);
}

TEST(TextTokenizer, SpecialTokensCanBeLeftOut) {
  const auto clip = TextTokenizer::load(fixtures / "clip_style.json");
  EXPECT_EQ(clip.decode(clip.encode("A Small  chair", true), true), "a small chair");
}

}  // namespace
}  // namespace omni::tokenizers
