#include "omni/data/edit_instructions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "object_class.h"
#include "omni/data/palette.h"
#include "omni/data/procedural_world.h"
#include "omni/data/synonyms.h"
#include "omni/tokenizers/caption_text.h"
#include "omni/tokenizers/text_tokenizer.h"

namespace omni::data {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::IsSupersetOf;
using testing::Not;

std::vector<std::string> texts(const std::vector<Instruction>& instructions) {
  std::vector<std::string> all;
  for (const Instruction& instruction : instructions) all.push_back(instruction.text);
  return all;
}

std::vector<std::string> trained(const std::string& class_name, const std::string& attribute,
                                 const std::string& from, const std::string& to,
                                 std::map<std::string, std::string> others = {}) {
  others[attribute] = from;
  return texts(edit_instructions(attribute_change(class_name, others, attribute, to)).trained);
}

TEST(EditInstructions, PaintParts) {
  EXPECT_THAT(trained("chair", "legs colour", "red", "blue"),
              AllOf(IsSupersetOf({"paint the legs blue", "make the legs blue", "color the legs blue",
                                  "the legs should be blue", "turn the legs blue"}),
                    Not(Contains("paint it blue"))));
  EXPECT_THAT(
      trained("chair", "seat colour", "red", "grey"),
      IsSupersetOf({"paint the seat grey", "make the seat gray", "paint it grey", "make the chair grey"}));
  EXPECT_THAT(trained("robot", "limbs colour", "red", "orange"), Contains("paint the arms and legs orange"));
}

TEST(EditInstructions, CompareMeasures) {
  EXPECT_THAT(trained("chair", "height", "short", "mid-height"),
              AllOf(IsSupersetOf({"make it taller", "make the chair taller", "make it a bit taller"}),
                    Not(Contains("make it tall")), Not(Contains("make it much taller"))));
  EXPECT_THAT(
      trained("chair", "height", "tall", "short"),
      AllOf(IsSupersetOf({"make it much shorter", "make it short"}), Not(Contains("make it shorter"))));
  EXPECT_THAT(
      trained("table", "legs thickness", "thin", "thick"),
      IsSupersetOf({"make the legs thicker", "thicker legs", "give it thicker legs", "make the legs thick"}));
  EXPECT_THAT(trained("bed", "legs", "short", "tall"), Contains("make the legs taller"));
  EXPECT_THAT(trained("snowman", "arms", "long", "short"), Contains("make the arms shorter"));
  EXPECT_THAT(trained("chair", "back height", "high", "low"),
              IsSupersetOf({"make the back lower", "give it a lower back"}));
  EXPECT_THAT(trained("lamp", "width", "narrow", "wide"), Contains("make the base wider"));
  EXPECT_THAT(trained("mug", "handle size", "small", "large"),
              IsSupersetOf({"make the handle larger", "make the handle bigger"}));
  EXPECT_THAT(trained("ball pair", "size", "small", "medium", {{"other", "cube"}}),
              Contains("make the ball bigger"));
}

TEST(EditInstructions, CountUpAndDown) {
  EXPECT_THAT(trained("stool", "legs", "three", "four"),
              AllOf(IsSupersetOf({"give it four legs", "give it 4 legs", "add a leg", "add another leg"}),
                    Not(Contains("remove a leg"))));
  EXPECT_THAT(trained("truck", "wheels", "six", "four"),
              AllOf(Contains("remove two wheels"), Not(Contains("remove a wheel"))));
  EXPECT_THAT(trained("cake", "tiers", "two", "four"), Contains("add two tiers"));
  EXPECT_THAT(trained("boat", "funnels", "three", "two"), Contains("remove a funnel"));
}

TEST(EditInstructions, NameKindsPlacesAndThings) {
  EXPECT_THAT(trained("table", "top form", "square", "round"), Contains("make the top round"));
  EXPECT_THAT(trained("ring", "ring form", "square", "round"), Contains("make the ring round"));
  EXPECT_THAT(trained("cone", "tip", "pointed", "blunt"), Contains("make the tip blunt"));
  EXPECT_THAT(trained("cylinder", "direction", "upright", "lying"), Contains("make it lying"));
  EXPECT_THAT(trained("chair", "seat form", "square", "round"),
              IsSupersetOf({"make the seat round", "give it a round seat"}));
  EXPECT_THAT(trained("mug", "side", "left", "right"),
              IsSupersetOf({"move the handle to the right", "put the handle on the right"}));
  EXPECT_THAT(trained("car", "cabin place", "front", "rear"), Contains("put the cabin at the rear"));
  EXPECT_THAT(trained("cake", "topping", "cherry", "candle"), Contains("replace the cherry with a candle"));
  EXPECT_THAT(trained("cake", "topping colour", "red", "pink", {{"topping", "cherry"}}),
              Contains("paint the cherry pink"));
  EXPECT_THAT(trained("ball pair", "relation", "beside", "on top of", {{"other", "cube"}}),
              IsSupersetOf({"put the ball on top of the cube", "move the ball on the cube"}));
  EXPECT_THAT(trained("ball pair", "other colour", "red", "blue", {{"other", "ball"}}),
              Contains("paint the other ball blue"));
  EXPECT_THAT(trained("cone pair", "other", "cone", "cube"), Contains("replace the other cone with a cube"));
}

TEST(EditInstructions, SayOfOtherDataWhatTheAttributesSay) {
  EXPECT_EQ(trained("", "legs", "three", "four"), std::vector<std::string>{"change the legs to four"});
  EXPECT_EQ(trained("chair", "arm_rest", "none", "two_pairs"),
            std::vector<std::string>{"change the arm rest to two pairs"});
  EXPECT_THAT(trained("", "colour", "red", "green"), Contains("make it green"));
  EXPECT_THAT(trained("sofa", "seat_colour", "red", "green"), Contains("make the seat green"));
}

// Every change of one attribute or colour that the world's classes allow, with its object's other attributes.
std::vector<AttributeChange> all_changes() {
  const ProceduralWorld world(1);
  std::set<AttributeChange> changes;
  for (std::int64_t g = 0; g < world.geometry_count(); ++g) {
    const ObjectRecord record = world.describe(world.first_object_of_geometry(g));
    const ProceduralClass& kind = world.class_info(world.class_of_geometry(g));
    std::map<std::string, std::string> before = record.attributes;
    for (const ColouredPart& part : record.parts) before[colour_attribute(part.name)] = part.colour_name;
    for (const auto& [name, values] : kind.attributes)
      for (const std::string& value : values)
        if (value != before.at(name))
          changes.insert(attribute_change(record.class_name, before, name, value));
    for (const auto& [name, colours] : kind.parts)
      for (const std::string& colour : colours)
        if (colour != before.at(colour_attribute(name)))
          changes.insert(attribute_change(record.class_name, before, colour_attribute(name), colour));
  }
  return {changes.begin(), changes.end()};
}

TEST(EditInstructions, AreShortAndWhollyFilled) {
  const auto tokenizer = tokenizers::TextTokenizer::load(std::filesystem::path(OMNI_SOURCE_DIR) /
                                                         "models/tiny/text_tokenizer.json");
  for (const AttributeChange& change : all_changes()) {
    const EditInstructions all = edit_instructions(change);
    EXPECT_GE(all.trained.size(), 3) << change.class_name << ' ' << change.attribute;
    EXPECT_GE(all.held_out.size(), 1) << change.class_name << ' ' << change.attribute;
    for (const auto* list : {&all.trained, &all.held_out}) {
      for (const Instruction& instruction : *list) {
        EXPECT_EQ(instruction.text.find_first_of("{}"), std::string::npos) << instruction.text;
        EXPECT_EQ(instruction.text.find("  "), std::string::npos) << instruction.text;
        EXPECT_NE(instruction.pattern.find('{'), std::string::npos) << instruction.pattern;
        EXPECT_EQ(tokenizers::fold_case(instruction.text), instruction.text);
        EXPECT_LE(tokenizers::encode_caption(tokenizer, instruction.text).size(), 40u) << instruction.text;
      }
    }
  }
}

// An instruction that changes of two attributes shared would not say which of them is meant.
TEST(EditInstructions, MeanOneAttributeOfAnObject) {
  std::map<std::tuple<std::string, std::string, std::string>, std::string> meant;
  for (const AttributeChange& change : all_changes()) {
    const EditInstructions all = edit_instructions(change);
    for (const auto* list : {&all.trained, &all.held_out})
      for (const Instruction& instruction : *list) {
        const auto known =
            meant.try_emplace({change.class_name, change.noun, instruction.text}, change.attribute);
        EXPECT_EQ(known.first->second, change.attribute) << change.class_name << ": " << instruction.text;
      }
  }
}

TEST(EditInstructions, HoldOutWordingsOfKnownWords) {
  std::set<std::string> words, patterns;
  const std::vector<AttributeChange> changes = all_changes();
  for (const AttributeChange& change : changes)
    for (const Instruction& instruction : edit_instructions(change).trained) {
      patterns.insert(instruction.pattern);
      for (const std::string& word : tokenizers::caption_words(instruction.text)) words.insert(word);
    }
  for (const AttributeChange& change : changes)
    for (const Instruction& instruction : edit_instructions(change).held_out) {
      EXPECT_FALSE(patterns.contains(instruction.pattern)) << instruction.pattern;
      for (const std::string& word : tokenizers::caption_words(instruction.text))
        EXPECT_TRUE(words.contains(word) || tokenizers::is_joining_word(word)) << instruction.text;
    }
}

}  // namespace
}  // namespace omni::data
