#include "omni/data/prompt_list.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::data {
namespace {

using Lines = std::vector<std::int64_t>;

Lines broken(const PromptList& list) {
  Lines lines;
  for (const PromptList::Problem& problem : list.left_out) lines.push_back(problem.line);
  return lines;
}

TEST(PromptList, TakesALineOfTextAsAPrompt) {
  const PromptList list = parse_prompts(
      "\xEF\xBB\xBF"
      "a red chair\r\n\n  a mug, \"tall\"\na \xFFtable\nlast",
      "p.txt");
  ASSERT_EQ(list.prompts.size(), 3u);
  EXPECT_EQ(list.prompts[0], (PromptLine{1, "a red chair", "", {}}));
  EXPECT_EQ(list.prompts[1], (PromptLine{3, "  a mug, \"tall\"", "", {}}));
  EXPECT_EQ(list.prompts[2].line, 5);
  EXPECT_EQ(broken(list), Lines{4}) << "that is no UTF-8";
}

TEST(PromptList, KnowsEveryEndOfALine) {
  const PromptList list = parse_prompts("a\rb\r\n\r\nc\nd", "p.txt");
  ASSERT_EQ(list.prompts.size(), 4u);
  EXPECT_EQ(list.prompts[1], (PromptLine{2, "b", "", {}}));
  EXPECT_EQ(list.prompts[2].line, 4);
}

TEST(PromptList, ReadsNamesAndSeedsOfATable) {
  const PromptList list = parse_prompts(
      "name,Prompt,seed\n first ,\"a red, low chair\", 7\nonly two\n,a mug,\n../up,a mug,1\nx,a mug,-1\ny,,2\n",
      "p.csv");
  ASSERT_EQ(list.prompts.size(), 2u);
  EXPECT_EQ(list.prompts[0], (PromptLine{2, "a red, low chair", "first", 7}));
  EXPECT_EQ(list.prompts[1], (PromptLine{4, "a mug", "", {}}));
  EXPECT_EQ(broken(list), (Lines{3, 5, 6, 7}));
}

TEST(PromptList, ReadsObjectsLineByLine) {
  const PromptList list = parse_prompts(
      "{\"prompt\":\"a chair\",\"seed\":18446744073709551615}\n{broken\n[1]\n{\"prompt\":7}\n"
      "{\"name\":\"b\",\"prompt\":\"a mug\",\"seed\":null}\n{\"prompt\":\"x\",\"seed\":1.5}\n{}\n{\"prompt\":\"a\\u0000\"}\n",
      "p.jsonl");
  ASSERT_EQ(list.prompts.size(), 2u);
  EXPECT_EQ(list.prompts[0], (PromptLine{1, "a chair", "", 18446744073709551615u}));
  EXPECT_EQ(list.prompts[1], (PromptLine{5, "a mug", "b", {}}));
  EXPECT_EQ(broken(list), (Lines{2, 3, 4, 6, 7, 8}));
}

TEST(PromptList, AKeyThatIsNotKnownCostsItsLine) {
  const PromptList list = parse_prompts(
      "{\"prompt\":\"a chair\",\"sede\":7}\n{\"promt\":\"a mug\"}\n{\"prompt\":\"a lamp\",\"seed\":7}\n"
      "{\"prompt\":\"a lamp\",\"zzzzzzzz\":null}\n{\"Prompt\":\"a table\"}\n",
      "p.jsonl");
  ASSERT_EQ(list.prompts.size(), 1u);
  EXPECT_EQ(list.prompts[0], (PromptLine{3, "a lamp", "", 7}));
  ASSERT_EQ(broken(list), (Lines{1, 2, 4, 5}));
  EXPECT_EQ(list.left_out[0].what,
            "it has the key 'sede', which is none of 'prompt', 'name' and 'seed'. Did you mean 'seed'?");
  EXPECT_NE(list.left_out[1].what.find("'promt'"), std::string::npos);
  EXPECT_NE(
      list.left_out[2].what.find("'zzzzzzzz', which is none of 'prompt', 'name' and 'seed'. Take it out"),
      std::string::npos);
  EXPECT_NE(list.left_out[3].what.find("Did you mean 'prompt'?"), std::string::npos);
}

TEST(PromptList, AColumnThatIsNotKnownIsRefused) {
  const auto refusal = [](const std::string& header) -> std::string {
    try {
      (void)parse_prompts(header + "\na chair,1\n", "p.csv");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      return error.what();
    }
    return "";
  };
  EXPECT_NE(refusal("prompt,sede")
                .find("p.csv: its header has the column 'sede', which is none of 'prompt', "
                      "'name' and 'seed'. Did you mean 'seed'?"),
            std::string::npos);
  EXPECT_NE(refusal("prompt,seed,colour").find("'colour'"), std::string::npos);
  EXPECT_NE(refusal("seed,Seed,prompt").find("has the column 'Seed' twice"), std::string::npos);
  EXPECT_EQ(refusal("PROMPT,seed"), "");
  EXPECT_EQ(refusal(",prompt"), "") << "which a table of numbered rows begins with";
}

TEST(PromptList, APromptOfControlCharactersIsEmpty) {
  const PromptList list = parse_prompts("\x01\x7f\n \t\n\u3000\na mug\n", "p.txt");
  ASSERT_EQ(list.prompts.size(), 1u);
  ASSERT_EQ(broken(list), (Lines{1, 3}));
  EXPECT_EQ(list.left_out[0].what, "the prompt is empty");
}

TEST(PromptList, ReadsWhatNotepadSavesAsUnicode) {
  const std::string text(
      "\xFF\xFE"
      "a\0 \0m\0\xFC\0\n\0",
      12);
  const PromptList list = parse_prompts(text, "p.txt");
  ASSERT_EQ(list.prompts.size(), 1u);
  EXPECT_EQ(list.prompts[0].prompt, "a m\xC3\xBC");
}

TEST(PromptList, RefusesFilesThatHoldNone) {
  const auto kind = [](std::string_view bytes, const std::string& file) {
    try {
      (void)parse_prompts(bytes, file);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(file), std::string::npos) << error.what();
      return error.kind();
    }
    return ErrorKind::internal;
  };
  EXPECT_EQ(kind("a chair", "p.doc"), ErrorKind::usage);
  EXPECT_EQ(kind("\n \n", "p.txt"), ErrorKind::input);
  EXPECT_EQ(kind("text\na chair\n", "p.csv"), ErrorKind::input) << "no column of prompts";
  const PromptList list = parse_prompts(std::string(kLongestPrompt + 1, 'a') + "\n", "p.txt");
  EXPECT_EQ(broken(list), Lines{1});
}

}  // namespace
}  // namespace omni::data
