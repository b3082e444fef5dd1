#include "omni/data/edit_pairs.h"

#include <algorithm>
#include <map>
#include <string>

#include "omni/core/random.h"

namespace omni::data {
namespace {

using Attributes = std::map<std::string, std::string>;

struct Member {
  std::int64_t object;
  std::string value;
};

// Objects that agree in class and in all attributes but one.
struct Group {
  std::string class_name;
  Attributes attributes;  // of the first member
  std::vector<Member> members;
};
using Groups = std::map<std::pair<std::uint64_t, std::string>, Group>;

Groups group_objects(const TokenDataset& dataset, const std::vector<std::int64_t>& objects) {
  Groups groups;
  for (const std::int64_t object : objects) {
    const auto [shard, local] = dataset.at(object);
    if (shard->info().variation > 0) continue;
    const Attributes attributes = shard->attributes(local);
    for (const auto& [left_out, value] : attributes) {
      std::uint64_t rest = hash_string(shard->class_name(local));
      for (const auto& [name, other] : attributes) {
        rest = hash_combine(rest, hash_string(name));
        if (name != left_out) rest = hash_combine(rest, hash_string(other));
      }
      Group& group = groups[{rest, left_out}];
      if (group.members.empty()) {
        group.class_name = shard->class_name(local);
        group.attributes = attributes;
      }
      group.members.push_back({object, value});
    }
  }
  return groups;
}

bool is_colour(const AttributeChange& change) {
  return change.attribute.ends_with("colour") || change.attribute.ends_with("color");
}

// Leaves no more pairs that differ in a colour than others, where there are others: evenly over the list.
void balance_colours(EditPairs& found) {
  const auto differs_in_colour = [&](const EditPair& pair) { return is_colour(found.changes[pair.change]); };
  const auto colours =
      static_cast<std::uint64_t>(std::count_if(found.pairs.begin(), found.pairs.end(), differs_in_colour));
  const std::uint64_t others = found.pairs.size() - colours;
  if (others == 0 || colours <= others) return;
  std::uint64_t seen = 0;
  std::erase_if(found.pairs, [&](const EditPair& pair) {
    if (!differs_in_colour(pair)) return false;
    ++seen;
    return seen * others / colours == (seen - 1) * others / colours;
  });
}

}  // namespace

EditPairs find_edit_pairs(const TokenDataset& dataset, const std::vector<std::int64_t>& objects,
                          std::size_t most_per_attribute) {
  EditPairs found;
  std::map<AttributeChange, std::size_t> known;
  for (auto& [key, group] : group_objects(dataset, objects)) {
    const std::string& attribute = key.second;
    Attributes attributes = group.attributes;
    const std::vector<Member>& members = group.members;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const Member& before = members[i];
      std::size_t started = 0;
      for (std::size_t step = 1; step < members.size() && started < most_per_attribute; ++step) {
        const Member& after = members[(i + step) % members.size()];
        if (before.value == after.value) continue;
        attributes[attribute] = before.value;
        const AttributeChange change = attribute_change(group.class_name, attributes, attribute, after.value);
        const auto place = known.try_emplace(change, found.changes.size());
        if (place.second) found.changes.push_back(change);
        found.pairs.push_back({before.object, after.object, place.first->second});
        ++started;
      }
    }
  }
  balance_colours(found);
  return found;
}

}  // namespace omni::data
