#include "omni/data/procedural_edit.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "omni/core/error.h"
#include "omni/data/edit_instructions.h"

namespace omni::data {
namespace {

using geometry::Vec3;

const ProceduralWorld& world() {
  static const ProceduralWorld instance(1);
  return instance;
}

std::map<std::string, std::string> all_attributes(std::int64_t object) {
  const ObjectRecord record = world().describe(object);
  std::map<std::string, std::string> all = record.attributes;
  for (const ColouredPart& part : record.parts) all[colour_attribute(part.name)] = part.colour_name;
  return all;
}

// Against every pair of the class's objects of one other geometry or colouring.
TEST(ProceduralEdit, ChangesOneThingToAValueThatTrainingShows) {
  for (std::int64_t g = 0; g < world().geometry_count(); g += 97) {
    const std::int64_t object = world().first_object_of_geometry(g) + 5;
    const ProceduralClass& kind = world().class_info(world().class_of(object));
    const auto before = all_attributes(object);
    std::set<std::pair<std::string, std::string>> expected;
    for (const auto& [name, values] : kind.attributes)
      for (const std::string& value : values) expected.insert({name, value});
    for (const auto& [part, colours] : kind.parts)
      for (const std::string& colour : colours) {
        bool taken = false;  // by another part
        for (const auto& [name, value] : before) taken |= name.ends_with(" colour") && value == colour;
        if (!taken) expected.insert({colour_attribute(part), colour});
      }
    for (const auto& [name, value] : before) expected.erase({name, value});
    for (const auto& [name, value] : kind.held_out_attributes) expected.erase({name, value});
    for (const auto& [name, value] : kind.held_out_counts) expected.erase({name, value});
    for (const std::string& colour : kind.held_out_colours)
      expected.erase({colour_attribute(kind.parts[0].first), colour});

    std::set<std::pair<std::string, std::string>> found;
    for (const ProceduralEdit& edit : edits_of(world(), object)) {
      EXPECT_EQ(edit.before, object);
      const auto after = all_attributes(edit.after);
      EXPECT_EQ(world().class_of(edit.after), world().class_of(object));
      for (const auto& [name, value] : after) EXPECT_EQ(value != before.at(name), name == edit.attribute);
      EXPECT_EQ(edit.part >= 0, edit.attribute.ends_with(" colour"));
      found.insert({edit.attribute, after.at(edit.attribute)});
    }
    EXPECT_EQ(found, expected) << kind.name;
  }
}

std::int64_t find_object(const std::string& class_name, const std::map<std::string, std::string>& wanted) {
  for (std::int64_t g = 0; g < world().geometry_count(); ++g) {
    const std::int64_t object = world().first_object_of_geometry(g);
    const ObjectRecord record = world().describe(object);
    if (record.class_name != class_name) continue;
    bool fits = true;
    for (const auto& [name, value] : wanted) fits = fits && record.attributes.at(name) == value;
    if (fits) return object;
  }
  ADD_FAILURE() << class_name;
  return 0;
}

ProceduralEdit find_edit(std::int64_t object, const std::string& attribute, const std::string& value) {
  for (const ProceduralEdit& edit : edits_of(world(), object))
    if (edit.attribute == attribute && all_attributes(edit.after).at(attribute) == value) return edit;
  ADD_FAILURE() << attribute << ' ' << value;
  return {};
}

// The parts of a chair's surface are told by their colours: the seat and back are one, the legs another.
TEST(ProceduralEdit, TellsWhatAThickerLegLeavesAlone) {
  const std::int64_t chair = find_object("chair", {{"legs thickness", "thin"}, {"back height", "low"}});
  for (const auto& [attribute, value, seat_changes, legs_change] :
       {std::tuple("legs thickness", "thick", false, true), std::tuple("height", "tall", false, true),
        std::tuple("seat form", "square", true, false)}) {
    if (all_attributes(chair).at(attribute) == value) continue;
    const ProceduralEdit edit = find_edit(chair, attribute, value);
    const ObjectRecord after = world().make(edit.after);
    const std::vector<Vec3>& points = after.mesh.positions;
    const std::vector<std::uint8_t> changed = ChangedSurface(world(), edit).at(points);
    std::map<std::string, std::pair<int, int>> by_part;  // changed, all
    for (std::size_t i = 0; i < points.size(); ++i) {
      const bool seat = length(after.mesh.colours[i] - after.parts[0].colour) < 0.01f;
      auto& [some, all] = by_part[seat ? "seat" : "legs"];
      some += changed[i];
      ++all;
    }
    EXPECT_EQ(by_part["seat"].first > 0, seat_changes) << attribute;
    EXPECT_EQ(by_part["legs"].first == by_part["legs"].second, legs_change) << attribute;
  }
}

TEST(ProceduralEdit, ColoursMoveNothingAndCountsChangeAllOfAKind) {
  const std::int64_t stool = find_object("stool", {{"legs", "three"}});
  for (const ProceduralEdit& edit : edits_of(world(), stool)) {
    const ObjectRecord after = world().make(edit.after);
    const std::vector<std::uint8_t> changed = ChangedSurface(world(), edit).at(after.mesh.positions);
    for (std::size_t i = 0; i < changed.size(); ++i) {
      const bool leg = length(after.mesh.colours[i] - after.parts[1].colour) < 0.01f;
      if (edit.part >= 0) EXPECT_EQ(changed[i], 0);
      if (edit.attribute == "legs" && leg) EXPECT_EQ(changed[i], 1);
      if (edit.attribute == "legs" && !leg && after.mesh.positions[i].y > 0.9f) EXPECT_EQ(changed[i], 0);
    }
  }
}

TEST(ProceduralEdit, NeedsAWorldWhereObjectsDifferInOneThing) {
  const ProceduralWorld varied(1, 1);
  EXPECT_THROW(ChangedSurface(varied, edits_of(varied, 0).front()), Error);
}

}  // namespace
}  // namespace omni::data
