#include "omni/training/text_tokenizer_training.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/random.h"
#include "temporary_directory.h"

namespace omni::training {
namespace {

const std::filesystem::path fixtures = std::filesystem::path(OMNI_TEST_FIXTURES) / "text";

std::vector<std::string> corpus() {
  std::istringstream file(read_file_text(fixtures / "corpus.txt"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// Learns merges by counting everything anew at each step.
std::vector<std::string> slow_tokens(const std::vector<std::string>& words, int merges) {
  const auto bytes = tokenizers::TextTokenizer::from_merges({});
  std::vector<std::vector<std::int32_t>> symbols;
  for (const auto& word : words) symbols.push_back(bytes.encode(word));
  std::vector<std::string> tokens;
  for (std::int32_t id = 0; id < 256; ++id) tokens.push_back(bytes.decode(std::span(&id, 1)));
  for (int step = 0; step < merges; ++step) {
    std::map<std::pair<std::int32_t, std::int32_t>, int> counts;
    for (const auto& word : symbols) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    }
    std::pair<std::int32_t, std::int32_t> best;
    int most = 1;
    for (const auto& [pair, count] : counts) {
      if (count > most) {
        most = count;
        best = pair;
      }
    }
    if (most < 2) break;
    tokens.push_back(tokens[best.first] + tokens[best.second]);
    for (auto& word : symbols) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) {
        if (std::pair(word[i], word[i + 1]) != best) continue;
        word[i] = static_cast<std::int32_t>(tokens.size()) - 1;
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return tokens;
}

std::vector<std::string> tokens_of(const tokenizers::TextTokenizer& tokenizer) {
  std::vector<std::string> tokens;
  for (std::int32_t id = 0; id < tokenizer.vocabulary_size(); ++id)
    tokens.push_back(tokenizer.decode(std::span(&id, 1)));
  return tokens;
}

TEST(TextTokenizerTraining, LearnsTheReferenceLibrarysMerges) {
  const auto trained = train_text_tokenizer(corpus(), 450);
  const test::TemporaryDirectory folder;
  const auto path = folder / "trained_text.json";
  trained.save(path);
  const auto ours = parse_json(read_file_text(path));
  const auto reference = parse_json(read_file_text(fixtures / "corpus_merges.json"));
  std::vector<std::string> merges = ours.at("model").at("merges");
  EXPECT_EQ(merges, reference.get<std::vector<std::string>>());
}

TEST(TextTokenizerTraining, AgreesWithCountingAnewAtEachStep) {
  CounterRng rng(4);
  std::vector<std::string> words;
  for (int i = 0; i < 120; ++i) {
    std::string word;
    for (std::uint64_t n = 1 + rng.below(9); n > 0; --n)
      word.push_back(static_cast<char>('a' + rng.below(3)));
    words.push_back(word);
  }
  EXPECT_EQ(tokens_of(train_text_tokenizer(words, 256 + 60)), slow_tokens(words, 60));
}

TEST(TextTokenizerTraining, TheOrderOfTextsDoesNotMatter) {
  auto texts = corpus();
  const auto tokens = tokens_of(train_text_tokenizer(texts, 400));
  std::reverse(texts.begin(), texts.end());
  EXPECT_EQ(tokens_of(train_text_tokenizer(texts, 400)), tokens);
}

TEST(TextTokenizerTraining, FrequentWordsBecomeOneTokenWithTheirSpace) {
  const std::vector<std::string> texts(50, "a small red chair beside a small blue table");
  const auto tokenizer = train_text_tokenizer(texts, 300);
  for (const char* word : {" small", " red", " chair", " beside", " blue", " table"}) {
    EXPECT_EQ(tokenizer.encode(word).size(), 1u) << word;
  }
}

TEST(TextTokenizerTraining, StopsWhereNothingRepeats) {
  const std::vector<std::string> texts = {"abcdef"};
  EXPECT_EQ(train_text_tokenizer(texts, 1000).vocabulary_size(), 256);
  EXPECT_EQ(train_text_tokenizer({}, 1000).vocabulary_size(), 256);
  EXPECT_THROW(train_text_tokenizer(texts, 255), Error);
}

}  // namespace
}  // namespace omni::training
