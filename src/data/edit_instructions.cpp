#include "omni/data/edit_instructions.h"

#include <algorithm>
#include <array>
#include <optional>

#include "caption_pattern.h"
#include "edit_subject.h"
#include "omni/data/synonyms.h"

namespace omni::data {
namespace {

constexpr std::string_view kColourEndings[] = {"colour", "color"};
constexpr std::array<std::string_view, 7> kNumbers = {"", "one", "two", "three", "four", "five", "six"};

using Fillings = std::vector<std::pair<std::string_view, std::string>>;

std::string fill(std::string pattern, const Fillings& fillings) {
  for (const auto& [name, word] : fillings) {
    const std::string placeholder = "{" + std::string(name) + "}";
    for (std::size_t at = 0; (at = pattern.find(placeholder, at)) != std::string::npos; at += word.size())
      pattern.replace(at, placeholder.size(), word);
  }
  return tidy_caption(pattern);
}

class InstructionWriter {
 public:
  void train(std::initializer_list<const char*> patterns, const Fillings& fillings) {
    add(all_.trained, patterns, fillings);
  }
  void hold_out(std::initializer_list<const char*> patterns, const Fillings& fillings) {
    add(all_.held_out, patterns, fillings);
  }
  EditInstructions take() { return std::move(all_); }

 private:
  // Where a part is called as the whole, two patterns say the same.
  void add(std::vector<Instruction>& list, std::initializer_list<const char*> patterns,
           const Fillings& fillings) {
    for (const char* pattern : patterns) {
      std::string text = fill(pattern, fillings);
      const auto says_it = [&](const Instruction& other) { return other.text == text; };
      if (std::none_of(all_.trained.begin(), all_.trained.end(), says_it) &&
          std::none_of(all_.held_out.begin(), all_.held_out.end(), says_it))
        list.push_back({std::move(text), pattern});
    }
  }

  EditInstructions all_;
};

const ObjectClass* find_class(std::string_view name) {
  for (const ObjectClass& kind : object_classes())
    if (kind.name == name) return &kind;
  return nullptr;
}

const AttributeSpec* find_attribute(const ObjectClass& kind, std::string_view name) {
  for (const AttributeSpec& attribute : kind.attributes)
    if (attribute.name == name) return &attribute;
  return nullptr;
}

std::optional<std::size_t> find_coloured_part(const ObjectClass& kind, std::string_view attribute) {
  for (std::size_t i = 0; i < kind.parts.size(); ++i)
    if (attribute == colour_attribute(kind.parts[i].name)) return i;
  return {};
}

std::optional<std::size_t> place_of(const std::vector<std::string>& words, std::string_view word) {
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) return {};
  return static_cast<std::size_t>(found - words.begin());
}

std::optional<std::size_t> number_of(std::string_view word) {
  const auto found = std::find(kNumbers.begin() + 1, kNumbers.end(), word);
  if (found == kNumbers.end()) return {};
  return static_cast<std::size_t>(found - kNumbers.begin());
}

std::string spoken(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

bool is_plural(const std::string& part) { return part.ends_with("s"); }

// Comparatives by the greatest word of a scale, most usual first.
struct Scale {
  std::string_view greatest;
  std::vector<std::string> more, less;
};
const Scale* find_scale(std::string_view greatest) {
  static const std::vector<Scale> scales = {{"tall", {"taller"}, {"shorter"}},
                                            {"long", {"longer"}, {"shorter"}},
                                            {"wide", {"wider", "broader"}, {"narrower"}},
                                            {"thick", {"thicker"}, {"thinner"}},
                                            {"large", {"larger", "bigger"}, {"smaller"}},
                                            {"high", {"higher"}, {"lower"}},
                                            {"deep", {"deeper"}, {"shallower"}}};
  for (const Scale& scale : scales)
    if (scale.greatest == greatest) return &scale;
  return nullptr;
}

void write_colour(const std::string& part, const std::string& object, const std::string& colour,
                  InstructionWriter& writer) {
  std::vector<std::string> words = synonyms_of(colour);
  words.insert(words.begin(), colour);
  for (const std::string& word : words) {
    const Fillings fillings = {{"part", part}, {"object", object}, {"colour", word}};
    const bool usual = word == colour;
    if (!part.empty()) {
      writer.train({"make the {part} {colour}", "paint the {part} {colour}"}, fillings);
      if (usual) {
        writer.train({"colour the {part} {colour}", "color the {part} {colour}",
                      "the {part} should be {colour}", "turn the {part} {colour}"},
                     fillings);
        writer.hold_out({"change the {part} to {colour}", "the {part} should turn {colour}"}, fillings);
      }
    }
    if (object.empty()) continue;
    writer.train({"make it {colour}", "paint it {colour}"}, fillings);
    if (!usual) continue;
    if (object != "it") writer.train({"make the {object} {colour}", "paint the {object} {colour}"}, fillings);
    writer.train({"color it {colour}", "it should be {colour}", "turn it {colour}"}, fillings);
    writer.hold_out({"change it to {colour}"}, fillings);
  }
}

// Words for a bin that is reached from another one: up or down by `steps` bins.
void write_measured(const EditSubject& subject, const std::string& object, const AttributeSpec& attribute,
                    std::size_t from, std::size_t to, const Scale& scale, InstructionWriter& writer) {
  const bool plural = is_plural(subject.part);
  const std::size_t steps = std::max(from, to) - std::min(from, to);
  const auto say = [&](const std::string& more, bool plain) {
    const Fillings fillings = {{"part", subject.part}, {"object", object}, {"more", more}};
    if (subject.part.empty()) {
      writer.train({"make it {more}", "make the {object} {more}", "it should be {more}"}, fillings);
      writer.hold_out({"the {object} should be {more}"}, fillings);
      return;
    }
    writer.train({"make the {part} {more}", "the {part} should be {more}"}, fillings);
    if (!plain) return;
    writer.train({"{more} {part}"}, fillings);
    if (plural) {
      writer.train({"give it {more} {part}"}, fillings);
      writer.hold_out({"it should have {more} {part}"}, fillings);
    } else {
      writer.train({"give it a {more} {part}"}, fillings);
      writer.hold_out({"it should have a {more} {part}"}, fillings);
    }
  };
  for (const std::string& more : to > from ? scale.more : scale.less) {
    if (steps > 1) {
      say("much " + more, true);
      say("a lot " + more, false);
    } else {
      say(more, true);
      if (attribute.words.size() > 2) say("a bit " + more, false);
    }
  }
  // Nobody writes "mid-height".
  if (to != 0 && to + 1 != attribute.words.size()) return;
  const Fillings fillings = {{"part", subject.part}, {"value", attribute.words[to]}};
  writer.train({subject.part.empty() ? "make it {value}" : "make the {part} {value}"}, fillings);
}

void write_kind(const EditSubject& subject, const std::string& object, const std::string& value,
                InstructionWriter& writer) {
  const Fillings fillings = {{"part", subject.part}, {"object", object}, {"value", value}};
  if (subject.part.empty()) {
    writer.train({"make it {value}", "make the {object} {value}", "it should be {value}"}, fillings);
    writer.hold_out({"the {object} should be {value}"}, fillings);
    return;
  }
  writer.train({"make the {part} {value}", "the {part} should be {value}"}, fillings);
  if (is_plural(subject.part)) {
    writer.train({"give it {value} {part}"}, fillings);
    writer.hold_out({"it should have {value} {part}"}, fillings);
  } else {
    writer.train({"give it a {value} {part}"}, fillings);
    writer.hold_out({"it should have a {value} {part}"}, fillings);
  }
}

void write_place(const EditSubject& subject, const std::string& value, InstructionWriter& writer) {
  const Fillings fillings = {{"part", subject.part}, {"value", value}};
  writer.train({"move the {part} to the {value}"}, fillings);
  if (subject.place_words == "on the")
    writer.train({"put the {part} on the {value}", "the {part} should be on the {value}"}, fillings);
  else
    writer.train({"put the {part} at the {value}", "the {part} should be at the {value}"}, fillings);
  writer.hold_out({"the {part} should move to the {value}"}, fillings);
}

void write_exchange(const std::string& noun, const std::string& value, InstructionWriter& writer) {
  const Fillings fillings = {{"part", noun}, {"value", value}};
  writer.train({"replace the {part} with a {value}", "change the {part} to a {value}",
                "swap the {part} for a {value}", "turn the {part} into a {value}"},
               fillings);
  writer.hold_out({"make the {part} a {value}"}, fillings);
}

void write_relation(const std::string& object, const std::string& noun, const std::string& value,
                    InstructionWriter& writer) {
  std::vector<std::string> words = synonyms_of(value);
  words.insert(words.begin(), value);
  for (const std::string& word : words) {
    const Fillings fillings = {{"object", object}, {"part", noun}, {"value", word}};
    writer.train({"put the {object} {value} the {part}", "move the {object} {value} the {part}",
                  "the {object} should be {value} the {part}"},
                 fillings);
    writer.hold_out({"the {object} should move {value} the {part}"}, fillings);
  }
}

void write_count(const std::string& things, std::size_t from, std::size_t to, InstructionWriter& writer) {
  const std::string thing = is_plural(things) ? things.substr(0, things.size() - 1) : things;
  const std::string number(kNumbers[to]);
  writer.train({"change the {things} to {number}"}, {{"things", things}, {"number", number}});
  for (const std::string& word : {number, std::to_string(to)}) {
    const Fillings fillings = {{"things", things}, {"number", word}};
    writer.train({"give it {number} {things}", "it should have {number} {things}"}, fillings);
    writer.hold_out({"with {number} {things}"}, fillings);
  }
  const std::size_t change = std::max(from, to) - std::min(from, to);
  const Fillings fillings = {{"thing", thing}, {"things", things}, {"number", std::string(kNumbers[change])}};
  if (change == 1 && to > from) {
    writer.train({"add a {thing}", "add one {thing}", "add another {thing}"}, fillings);
    writer.hold_out({"give it another {thing}"}, fillings);
  } else if (change == 1) {
    writer.train({"remove a {thing}", "remove one {thing}", "take away a {thing}"}, fillings);
    writer.hold_out({"take one {thing} away"}, fillings);
  } else if (to > from) {
    writer.train({"add {number} {things}"}, fillings);
  } else {
    writer.train({"remove {number} {things}", "take away {number} {things}"}, fillings);
  }
}

// Whether the change is one of the procedural world's, and then its words.
bool write_in_own_words(const ObjectClass& kind, const AttributeChange& change, InstructionWriter& writer) {
  const std::string object = spoken_noun(kind);
  if (const auto part = find_coloured_part(kind, change.attribute)) {
    const EditSubject subject = subject_of_colour(kind, *part);
    const bool whole = *part == 0 && !kind.noun.empty();
    write_colour(change.noun.empty() ? subject.part : change.noun, whole ? object : "", change.to, writer);
    return true;
  }
  const AttributeSpec* attribute = find_attribute(kind, change.attribute);
  if (attribute == nullptr) return false;
  const auto from = place_of(attribute->words, change.from), to = place_of(attribute->words, change.to);
  if (!from || !to) return false;
  const EditSubject subject = subject_of_attribute(kind, change.attribute);
  const auto number_before = number_of(change.from), number_after = number_of(change.to);
  const Scale* scale = is_measured(*attribute) ? find_scale(attribute->words.back()) : nullptr;
  if (change.attribute == "relation") {
    write_relation(object, change.noun, change.to, writer);
  } else if (!change.noun.empty()) {
    write_exchange(change.noun, change.to, writer);
  } else if (number_before && number_after) {
    write_count(subject.part, *number_before, *number_after, writer);
  } else if (!subject.place_words.empty()) {
    write_place(subject, change.to, writer);
  } else if (scale != nullptr) {
    write_measured(subject, object, *attribute, *from, *to, *scale, writer);
  } else {
    write_kind(subject, object, change.to, writer);
  }
  return true;
}

// Strips a trailing "colour" or "color"; tells whether there was one.
bool strip_colour(std::string& name) {
  for (const std::string_view ending : kColourEndings) {
    if (!name.ends_with(ending)) continue;
    name.resize(name.size() - ending.size());
    while (!name.empty() && name.back() == ' ') name.pop_back();
    return true;
  }
  return false;
}

}  // namespace

std::string colour_attribute(std::string_view part) { return std::string(part) + " colour"; }

std::map<std::string, std::string> attributes_with_colours(const ObjectRecord& object) {
  std::map<std::string, std::string> attributes = object.attributes;
  for (const ColouredPart& part : object.parts)
    attributes.emplace(colour_attribute(part.name), part.colour_name);
  return attributes;
}

AttributeChange attribute_change(std::string_view class_name,
                                 const std::map<std::string, std::string>& before,
                                 const std::string& attribute, const std::string& to) {
  AttributeChange change{std::string(class_name), attribute, before.at(attribute), to, {}};
  const ObjectClass* kind = find_class(class_name);
  if (kind == nullptr) return change;
  const auto part = find_coloured_part(*kind, attribute);
  const EditSubject subject = part ? subject_of_colour(*kind, *part) : subject_of_attribute(*kind, attribute);
  const auto noun = before.find(subject.noun_attribute);
  if (noun == before.end()) return change;
  change.noun = noun->second;
  if (change.noun == spoken_noun(*kind)) change.noun = "other " + change.noun;
  return change;
}

EditInstructions edit_instructions(const AttributeChange& change) {
  InstructionWriter writer;
  const ObjectClass* kind = find_class(change.class_name);
  if (kind != nullptr && write_in_own_words(*kind, change, writer)) return writer.take();
  std::string part = spoken(change.attribute);
  if (strip_colour(part)) {
    write_colour(part, part.empty() ? "it" : "", spoken(change.to), writer);
  } else {
    writer.train({"change the {part} to {value}"}, {{"part", part}, {"value", spoken(change.to)}});
  }
  return writer.take();
}

}  // namespace omni::data
