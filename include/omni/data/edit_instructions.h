#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "omni/data/object_source.h"

namespace omni::data {

// One attribute of an object that becomes another value.
struct AttributeChange {
  std::string class_name;
  std::string attribute;  // "legs thickness"; "seat colour" for the colour of a part
  std::string from, to;
  // What the changed part is called, where another attribute says so: "cherry", "cube". Else "".
  std::string noun;
  friend auto operator<=>(const AttributeChange&, const AttributeChange&) = default;
};

// The attribute under which an object's attributes hold the colour of a part.
std::string colour_attribute(std::string_view part);
// All that an edit may change about the object: its attributes, and the colours of its parts among them.
std::map<std::string, std::string> attributes_with_colours(const ObjectRecord& object);

// `before`: attributes_with_colours() of the object that is changed, among them `attribute`.
AttributeChange attribute_change(std::string_view class_name,
                                 const std::map<std::string, std::string>& before,
                                 const std::string& attribute, const std::string& to);

// What people write to have it: "make the legs longer". In its pattern the words that other changes replace
// stand as {part}, {object}, {colour}, {more}, {value}, {number}, {thing} or {things}.
struct Instruction {
  std::string text, pattern;
  friend bool operator==(const Instruction&, const Instruction&) = default;
};
struct EditInstructions {
  std::vector<Instruction> trained;  // at least one
  std::vector<Instruction>
      held_out;  // of words that trained ones hold, in patterns that training never shows
};

// All true of the change, each once. Attributes of the procedural world's classes are spoken of in their own
// words: scales by comparatives ("longer", and "much longer" over two bins), counts by their difference, too
// ("add a leg"). Of others colours have the same wordings, and all else is "change the legs to four".
EditInstructions edit_instructions(const AttributeChange& change);

}  // namespace omni::data
