#include "omni/data/edit_pairs.h"

#include <algorithm>
#include <map>

#include "omni/core/random.h"

namespace omni::data {
namespace {

struct Member {
  std::int64_t object;
  std::string value;
};

std::string spoken(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

// Strips a trailing "colour" or "color"; tells whether there was one.
bool strip_colour(std::string& name) {
  for (const std::string_view suffix : {"colour", "color"}) {
    if (!name.ends_with(suffix)) continue;
    name.resize(name.size() - suffix.size());
    while (!name.empty() && name.back() == ' ') name.pop_back();
    return true;
  }
  return false;
}

}  // namespace

std::string edit_instruction(const std::string& name, const std::string& value) {
  std::string part = spoken(name);
  if (strip_colour(part)) return part.empty() ? "make it " + value : "make the " + part + " " + value;
  return "change the " + part + " to " + spoken(value);
}

std::vector<EditPair> find_edit_pairs(const TokenDataset& dataset, const std::vector<std::int64_t>& objects,
                                      std::size_t maximum_per_object) {
  // Objects that agree in class and in all attributes but one fall into the same group under that one.
  std::map<std::pair<std::uint64_t, std::string>, std::vector<Member>> groups;
  for (const std::int64_t object : objects) {
    const auto [shard, local] = dataset.at(object);
    const auto attributes = shard->attributes(local);
    for (const auto& [left_out, value] : attributes) {
      std::uint64_t rest = hash_string(shard->class_name(local));
      for (const auto& [name, other] : attributes) {
        rest = hash_combine(rest, hash_string(name));
        if (name != left_out) rest = hash_combine(rest, hash_string(other));
      }
      groups[{rest, left_out}].push_back({object, value});
    }
  }
  std::vector<EditPair> pairs;
  std::map<std::int64_t, std::size_t> started;
  for (const auto& [key, members] : groups) {
    for (std::size_t i = 0; i < members.size(); ++i) {
      for (std::size_t step = 1; step < members.size(); ++step) {
        const Member& before = members[i];
        const Member& after = members[(i + step) % members.size()];
        if (before.value == after.value) continue;
        if (started[before.object] >= maximum_per_object) break;
        ++started[before.object];
        pairs.push_back({before.object, after.object, edit_instruction(key.second, after.value)});
      }
    }
  }
  return pairs;
}

}  // namespace omni::data
