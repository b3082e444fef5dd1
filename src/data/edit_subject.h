#pragma once

#include <string>

#include "object_class.h"

namespace omni::data {

// What instructions call the thing that an attribute belongs to, as the class's captions do.
struct EditSubject {
  std::string part;            // "legs"; "" for the whole object
  std::string place_words;     // of an attribute that is a place: "on the", "at the"; else ""
  std::string noun_attribute;  // whose value is the part's name; else ""
};
// Of one of the class's attributes, or of the colour of a part. The main part's colour is the object's, too.
EditSubject subject_of_attribute(const ObjectClass& kind, const std::string& attribute);
EditSubject subject_of_colour(const ObjectClass& kind, std::size_t part);

// "chair"; the first solid of a pair.
std::string spoken_noun(const ObjectClass& kind);

}  // namespace omni::data
