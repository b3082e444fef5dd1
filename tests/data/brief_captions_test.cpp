#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "object_class.h"
#include "omni/data/palette.h"
#include "omni/data/procedural_world.h"
#include "omni/data/synonyms.h"
#include "omni/tokenizers/caption_text.h"
#include "omni/tokenizers/text_tokenizer.h"

namespace omni::data {
namespace {

using tokenizers::caption_words;

const ProceduralWorld& world() {
  static const ProceduralWorld instance(7);
  return instance;
}

std::vector<std::string> texts_of(std::int64_t object, CaptionKind kind) {
  std::vector<std::string> texts;
  for (const Caption& caption : world().captions(object))
    if (caption.kind == kind) texts.push_back(caption.text);
  return texts;
}

// The words of the object's complete captions, and their synonyms.
std::set<std::string> true_words(std::int64_t object) {
  std::set<std::string> words;
  for (const std::string& text : texts_of(object, CaptionKind::complete)) {
    for (const std::string& word : caption_words(text)) words.insert(word);
    std::string plain = " ";
    for (const std::string& word : caption_words(text)) plain += word + " ";
    // Of phrases, too: "pine tree", "on top of".
    for (std::size_t begin = 0; begin + 1 < plain.size(); begin = plain.find(' ', begin + 1))
      for (std::size_t end = plain.find(' ', begin + 1); end != std::string::npos;
           end = plain.find(' ', end + 1))
        for (const std::string& other : synonyms_of(plain.substr(begin + 1, end - begin - 1)))
          for (const std::string& word : caption_words(other)) words.insert(word);
  }
  return words;
}

TEST(BriefCaptions, SayNothingThatTheCompleteOnesDoNot) {
  for (std::int64_t g = 0; g < world().geometry_count(); g += 3) {
    const std::int64_t object = world().first_object_of_geometry(g) + g % 5;
    const std::set<std::string> known = true_words(object);
    for (const CaptionKind kind : {CaptionKind::brief, CaptionKind::reworded})
      for (const std::string& text : texts_of(object, kind))
        for (const std::string& word : caption_words(text))
          EXPECT_TRUE(known.contains(word) || tokenizers::is_joining_word(word))
              << '"' << word << "\" in \"" << text << "\" of: " << world().captions(object)[0].text;
  }
}

TEST(BriefCaptions, AreSeveralShortAndDifferentOnes) {
  const auto tokenizer = tokenizers::TextTokenizer::load(std::filesystem::path(OMNI_SOURCE_DIR) / "models" /
                                                         "tiny" / "text_tokenizer.json");
  std::size_t bare = 0, with_article = 0, longest = 0, objects = 0;
  for (std::int64_t g = 0; g < world().geometry_count(); g += 7) {
    const std::int64_t object = world().first_object_of_geometry(g) + g % 11;
    const std::vector<std::string> brief = texts_of(object, CaptionKind::brief);
    EXPECT_GE(brief.size(), 3u) << world().captions(object)[0].text;
    EXPECT_LE(brief.size(), 8u);
    std::set<std::string> different;
    for (const Caption& caption : world().captions(object)) different.insert(caption.text);
    EXPECT_EQ(different.size(), world().captions(object).size());
    for (const std::string& text : brief) {
      EXPECT_LE(caption_words(text).size(), 13u) << text;
      longest = std::max(longest, tokenizer.encode(text).size());
      (text.starts_with("a ") || text.starts_with("an ") ? with_article : bare) += 1;
      EXPECT_EQ(text.find("  "), std::string::npos) << text;
    }
    ++objects;
  }
  EXPECT_LE(longest, 40u);
  EXPECT_GT(bare, objects);
  EXPECT_GT(with_article, objects);
}

TEST(BriefCaptions, RewordedOnesAreNeverTrainedOn) {
  std::set<std::string> trained, reworded;
  for (std::int64_t object = 0; object < world().object_count(); object += 29)
    for (const Caption& caption : world().captions(object))
      (caption.kind == CaptionKind::reworded ? reworded : trained).insert(caption.text);
  EXPECT_GT(reworded.size(), 100u);
  for (const std::string& text : reworded) EXPECT_FALSE(trained.contains(text)) << text;
}

TEST(Synonyms, NameOneThingEach) {
  std::map<std::string, std::set<std::string>> meanings;  // a synonym -> the world's own words
  std::set<std::string> own;
  for (const ObjectClass& kind : object_classes()) {
    own.insert(kind.noun);
    for (const AttributeSpec& attribute : kind.attributes)
      own.insert(attribute.words.begin(), attribute.words.end());
  }
  for (const PaletteColour& colour : palette()) own.insert(std::string(colour.name));
  for (const std::string& word : own)
    for (const std::string& other : synonyms_of(word)) {
      meanings[other].insert(word);
      EXPECT_FALSE(own.contains(other)) << other;
      const std::vector<std::string> back = words_like(other);
      EXPECT_NE(std::find(back.begin(), back.end(), word), back.end());
    }
  EXPECT_GT(meanings.size(), 20u);
  for (const auto& [word, means] : meanings) EXPECT_EQ(means.size(), 1u) << word;
  EXPECT_EQ(words_like("cup"), std::vector<std::string>{"mug"});
  EXPECT_TRUE(synonyms_of("zebra").empty());
}

}  // namespace
}  // namespace omni::data
