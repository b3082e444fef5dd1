#pragma once

#include <functional>
#include <string>
#include <vector>

#include "solid_builder.h"

namespace omni::data {

// A geometric attribute: its bins are the words that captions use. Words are unique within a class.
struct AttributeSpec {
  std::string name;
  std::vector<std::string> words;
};

// A coloured part. `colours` are palette indices; empty means the whole palette. No two parts of one object
// share a colour. The first part carries the main colour.
struct PartSpec {
  std::string name;
  std::vector<int> colours;
};

struct AttributeValue {
  std::string attribute;
  std::string word;
};

// Bin indices in the order of ObjectClass::attributes and, where there are any, the places inside the bins:
// per attribute -1 (the end towards the bin before) to 1.
class Bins {
 public:
  explicit Bins(std::span<const int> values, std::span<const float> places = {})
      : values_(values), places_(places) {}
  int operator[](int attribute) const { return values_[attribute]; }
  // The dimension that belongs to the attribute's bin, `dimensions` being those of the bins' centres.
  float pick(int attribute, std::initializer_list<float> dimensions) const;
  Section section(int attribute) const { return values_[attribute] == 0 ? Section::round : Section::square; }

 private:
  std::span<const int> values_;
  std::span<const float> places_;
};

// Whether the attribute's bins are parts of one scale ("narrow", "wide"), not kinds ("round", "square").
bool is_measured(const AttributeSpec& attribute);

// A row of the class table. In patterns, {name} stands for an attribute's word and {0}, {1}, {2} for the
// colour of a part; "a" becomes "an" where the next word asks for it.
struct ObjectClass {
  std::string name;
  double metres_per_unit = 1;
  std::vector<AttributeSpec> attributes;
  std::vector<PartSpec> parts;
  std::vector<std::string> adjectives;  // patterns before the main colour
  std::string noun;                     // pattern after it
  std::vector<std::string> features;    // patterns after "with"
  // Where the scheme "adjectives colour noun with features" does not fit: whole sentences instead.
  std::vector<std::string> complete_patterns;
  std::vector<std::string> partial_patterns;
  std::vector<AttributeValue> held_out_attributes;  // -> Split::unseen_attribute
  std::vector<AttributeValue> held_out_counts;      // -> Split::unseen_count: a count or a relation
  std::function<void(const Bins&, SolidBuilder&)> build;
};

// Words that several classes share, with the same kind of effect.
namespace bins {
inline AttributeSpec height() { return {"height", {"short", "mid-height", "tall"}}; }
inline AttributeSpec length() { return {"length", {"short", "mid-length", "long"}}; }
inline AttributeSpec width() { return {"width", {"narrow", "wide"}}; }
inline AttributeSpec width3() { return {"width", {"narrow", "mid-width", "wide"}}; }
inline AttributeSpec thickness(std::string part) { return {part + " thickness", {"thin", "thick"}}; }
inline AttributeSpec size(std::string part) { return {part + " size", {"small", "large"}}; }
inline AttributeSpec level(std::string part) { return {part + " height", {"low", "high"}}; }
inline AttributeSpec form(std::string part) { return {part + " form", {"round", "square"}}; }
}  // namespace bins

// The class table, in the order that object ids rely on.
const std::vector<ObjectClass>& object_classes();

// Its rows, by kind.
std::vector<ObjectClass> primitive_classes();
std::vector<ObjectClass> furniture_classes();
std::vector<ObjectClass> tableware_classes();
std::vector<ObjectClass> building_classes();
std::vector<ObjectClass> nature_classes();
std::vector<ObjectClass> vehicle_classes();
std::vector<ObjectClass> toy_classes();
std::vector<ObjectClass> relation_classes();

}  // namespace omni::data
