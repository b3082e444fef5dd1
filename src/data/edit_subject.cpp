#include "edit_subject.h"

#include <algorithm>

namespace omni::data {
namespace {

bool is_pair(const ObjectClass& kind) { return kind.noun.empty(); }

// "a {handle size} {1} handle on the {side}": "handle", and "on the" for {side}.
EditSubject read_feature(const std::string& feature, const std::string& placeholder) {
  EditSubject subject;
  std::string last;
  for (std::size_t i = 0; i < feature.size();) {
    if (feature[i] == ' ') {
      ++i;
      continue;
    }
    const bool is_placeholder = feature[i] == '{';
    const std::size_t end = std::min(feature.find(is_placeholder ? '}' : ' ', i), feature.size());
    const std::string word = feature.substr(i + is_placeholder, end - i - is_placeholder);
    i = end + is_placeholder;
    if (is_placeholder) {
      last = word;
    } else if (word == "on" || word == "at") {
      const std::size_t place = feature.find("{" + placeholder + "}", i);
      if (place != std::string::npos) subject.place_words = word + " the";
      return subject;
    } else if (word != "a") {
      subject.part += (subject.part.empty() ? "" : " ") + word;
    }
  }
  if (subject.part.empty()) subject.noun_attribute = last;
  return subject;
}

// Nothing where no feature has the placeholder.
EditSubject search_features(const ObjectClass& kind, const std::string& placeholder) {
  for (const std::string& feature : kind.features)
    if (feature.find("{" + placeholder + "}") != std::string::npos) return read_feature(feature, placeholder);
  return {};
}

// Of attributes that captions say of the whole object: "round table" of its "top form".
std::string part_in_name(const std::string& attribute) {
  if (attribute == "tip" || attribute == "body") return attribute;
  const std::size_t space = attribute.rfind(' ');
  return space == std::string::npos ? "" : attribute.substr(0, space);
}

}  // namespace

EditSubject subject_of_attribute(const ObjectClass& kind, const std::string& attribute) {
  if (!is_pair(kind)) {
    EditSubject subject = search_features(kind, attribute);
    const std::string part = part_in_name(attribute);
    if (subject.part.empty() && subject.noun_attribute.empty() && part != kind.noun) subject.part = part;
    return subject;
  }
  if (attribute == "size") return {.part = spoken_noun(kind), .place_words = {}, .noun_attribute = {}};
  return {.part = {}, .place_words = {}, .noun_attribute = "other"};
}

EditSubject subject_of_colour(const ObjectClass& kind, std::size_t part) {
  const std::string& name = kind.parts[part].name;
  if (part == 0) return {.part = name, .place_words = {}, .noun_attribute = {}};
  if (is_pair(kind)) return {.part = {}, .place_words = {}, .noun_attribute = name};
  EditSubject subject = search_features(kind, std::to_string(part));
  if (subject.part.empty() && subject.noun_attribute.empty()) subject.part = name;
  subject.place_words.clear();
  return subject;
}

std::string spoken_noun(const ObjectClass& kind) {
  return is_pair(kind) ? kind.name.substr(0, kind.name.find(' ')) : kind.noun;
}

}  // namespace omni::data
