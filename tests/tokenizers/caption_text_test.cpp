#include "omni/tokenizers/caption_text.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/tokenizers/word_list.h"

namespace omni::tokenizers {
namespace {

using Words = std::vector<std::string>;

TEST(CaptionText, FoldsCaseInEveryScriptAndNothingElse) {
  EXPECT_EQ(fold_case("A RED Chair, 3 Legs!"), "a red chair, 3 legs!");
  EXPECT_EQ(fold_case("ÄÖÜ CAFÉ ΣΟΦΙΑ СТУЛ"), "äöü café σοφια стул");
  EXPECT_EQ(fold_case("ß stays ß"), "ß stays ß");
  EXPECT_EQ(fold_case(""), "");
  const std::string broken = "\xff\xc3 chair \xe2\x82";
  EXPECT_EQ(fold_case(broken), broken);
  for (const char* lower : {"a tall wide red chair", "café", "стул", "half ½ a cake"})
    EXPECT_EQ(fold_case(lower), lower);
}

TEST(CaptionText, ReadsWordsWhateverStandsBetweenThem) {
  EXPECT_EQ(caption_words("A red,tall chair (3 legs)."), (Words{"a", "red", "tall", "chair", "3", "legs"}));
  EXPECT_EQ(caption_words("“CAFÉ” – стул…"), (Words{"café", "стул"}));
  EXPECT_EQ(caption_words("red\xff"
                          "chair"),
            (Words{"red", "chair"}));
  EXPECT_EQ(caption_words(" ,;\n\t"), Words{});
}

TEST(WordList, CountsCaptionsThatHoldAWord) {
  WordList list;
  list.add_caption("a red chair, red all over");
  list.add_caption("A RED TABLE");
  list.add_class("chair");
  list.add_class("chair");
  EXPECT_EQ(list.words().at("red"), 2);
  EXPECT_EQ(list.words().at("chair"), 1);
  EXPECT_EQ(list.classes().at("chair"), 2);
  EXPECT_TRUE(list.knows("table"));
  EXPECT_FALSE(list.knows("TABLE"));
  EXPECT_EQ(by_frequency(list.words()).front(), (std::pair<std::string, std::int64_t>{"a", 2}));
  EXPECT_EQ(WordList::parse(list.to_json(), "here"), list);
}

TEST(WordList, MergesByTheLargerCount) {
  WordList first, second;
  first.add_caption("red chair");
  second.add_caption("red table");
  second.add_caption("red mug");
  first.merge(second);
  EXPECT_EQ(first.words(), (WordList::Counts{{"chair", 1}, {"mug", 1}, {"red", 2}, {"table", 1}}));
}

WordList editing_list() {
  WordList list;
  list.add_instruction("shape+text->shape", "make the {part} {more}", "make the legs longer");
  list.add_instruction("shape+text->shape", "make the {part} {more}", "make the back higher");
  list.add_instruction("shape+text->shape", "add a {thing}", "add a leg");
  return list;
}

TEST(WordList, KeepsInstructionsByTaskAndPattern) {
  const WordList list = editing_list();
  const WordList::Wordings& wordings = list.instructions()->at("shape+text->shape");
  ASSERT_EQ(wordings.size(), 2u);
  EXPECT_EQ(wordings.at("make the {part} {more}"), (WordList::Wording{2, "make the legs longer"}));
  EXPECT_EQ(WordList::parse(list.to_json(), "here"), list);
  const WordList plain;
  EXPECT_TRUE(plain.instructions()->empty());
  EXPECT_EQ(WordList::parse(plain.to_json(), "here"), plain);
}

// Lists of before there were instructions in them do not say that nothing was edited.
TEST(WordList, TellsWhetherInstructionsAreKnown) {
  const WordList older =
      WordList::parse(R"({"format":"omni word list","version":1,"classes":{},"words":{}})", "older");
  EXPECT_FALSE(older.instructions());
  EXPECT_EQ(WordList::parse(older.to_json(), "again"), older);
  WordList next;
  next.merge(older);
  EXPECT_FALSE(next.instructions()) << "the stage before may have edited";
  WordList editing = editing_list();
  editing.merge(older);
  EXPECT_EQ(editing, editing_list());
  next = WordList();
  next.merge(editing);
  EXPECT_EQ(next.instructions()->size(), 1u) << "later stages keep what earlier ones learnt";
}

TEST(WordList, KeepsTasksViewsAndSizes) {
  WordList list;
  list.add_task("text->shape", 7);
  list.add_view({45, 30});
  list.add_view({45, 30});
  list.add_view({225, -15});
  for (const double size : {0.2, 0.1, 0.4}) list.add_size("mug", size);
  EXPECT_EQ(list.views(), (std::map<WordList::View, std::int64_t>{{{45, 30}, 2}, {{225, -15}, 1}}));
  EXPECT_EQ(list.sizes().at("mug"), (WordList::Sizes{0.1, 0.4}));
  EXPECT_EQ(WordList::parse(list.to_json(), "here"), list);
  EXPECT_THROW(list.add_size("mug", 0), Error);

  WordList later;
  later.add_task("image->shape", 3);
  later.add_view({45, 30});
  later.add_size("mug", 0.5);
  later.merge(list);
  EXPECT_EQ(later.tasks(), (WordList::Counts{{"image->shape", 3}, {"text->shape", 7}}));
  EXPECT_EQ(later.views(), list.views());
  EXPECT_EQ(later.sizes().at("mug"), (WordList::Sizes{0.1, 0.5}));
}

TEST(WordList, NamesWhatIsSpelledNearly) {
  WordList list;
  for (const char* caption : {"chair", "chain", "table", "stool", "red", "a red chair"})
    list.add_caption(caption);
  EXPECT_EQ(list.nearest("chiar", 2), (Words{"chair"}));          // a swap
  EXPECT_EQ(list.nearest("chai", 3), (Words{"chair", "chain"}));  // the more frequent one first
  EXPECT_EQ(list.nearest("tabel", 1), (Words{"table"}));
  EXPECT_EQ(list.nearest("zebra", 3), Words{});
  EXPECT_EQ(list.nearest("at", 3), Words{});
}

TEST(WordList, RefusesWhatItDidNotWrite) {
  WordList list;
  list.add_caption("a red chair");
  const std::string good = list.to_json();
  for (
      const std::string& bad :
      {std::string(), std::string("[]"), good.substr(0, good.size() / 2),
       std::string("{\"format\": \"omni word list\"}"),
       std::string(R"({"format":"omni word list","version":2,"classes":{},"words":{}})"),
       std::string(R"({"format":"omni word list","version":1,"classes":{},"words":{"a":-1}})"),
       std::string(R"({"format":"omni word list","version":1,"classes":[],"words":{}})"),
       std::string(R"({"format":"omni word list","version":1,"classes":{},"words":{},"instructions":[]})"),
       std::string(
           R"({"format":"omni word list","version":1,"classes":{},"words":{},"instructions":{"t":{"p":1}}})"),
       std::string(
           R"({"format":"omni word list","version":1,"classes":{},"words":{},"instructions":{"t":{"p":{"edits":-1,"example":""}}}})"),
       std::string(R"({"format":"omni word list","version":1,"classes":{},"words":{},"tasks":[]})"),
       std::string(
           R"({"format":"omni word list","version":1,"classes":{},"words":{},"views":[{"azimuth":1e9,"elevation":0,"pictures":1}]})"),
       std::string(
           R"({"format":"omni word list","version":1,"classes":{},"words":{},"views":[{"azimuth":45}]})"),
       std::string(
           R"({"format":"omni word list","version":1,"classes":{},"words":{},"sizes_m":{"mug":[2,1]}})"),
       std::string(
           R"({"format":"omni word list","version":1,"classes":{},"words":{},"sizes_m":{"mug":[1]}})"),
       R"({"format":"omni word list","version":1,"classes":{},"words":{")" + std::string(65, 'x') +
           "\":1}}"}) {
    try {
      (void)WordList::parse(bad, "words.json");
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_NE(std::string(error.what()).find("words.json"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace omni::tokenizers
