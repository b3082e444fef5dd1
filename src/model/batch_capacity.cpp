#include "omni/model/batch_capacity.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "omni/core/error.h"

namespace omni::model {
namespace {

using Group = BatchCapacity::Group;

std::int64_t in_multiples(std::int64_t count) {
  constexpr std::int64_t kMultiple = BatchCapacity::kRowMultiple;
  return (std::max<std::int64_t>(1, count) + kMultiple - 1) / kMultiple * kMultiple;
}

template <class Groups>
auto find_group(Groups& groups, const Group& wanted) {
  return std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
    return group.modality == wanted.modality && group.allowed == wanted.allowed;
  });
}

void take_larger(std::vector<std::int64_t>& counts, const std::vector<std::int64_t>& others) {
  counts.resize(std::max(counts.size(), others.size()));
  for (std::size_t i = 0; i < others.size(); ++i) counts[i] = std::max(counts[i], others[i]);
}

}  // namespace

std::int64_t BatchCapacity::loss_rows() const {
  std::int64_t sum = 0;
  for (const Group& group : groups) sum += group.rows;
  return sum;
}

void BatchCapacity::include(const BatchCapacity& other) {
  two_streams = two_streams || other.two_streams;
  for (std::size_t s = 0; s < rows.size(); ++s) rows[s] = std::max(rows[s], other.rows[s]);
  take_larger(codes, other.codes);
  take_larger(features, other.features);
  for (const Group& group : other.groups) {
    const auto own = find_group(groups, group);
    if (own == groups.end())
      groups.push_back(group);
    else
      own->rows = std::max(own->rows, group.rows);
  }
}

BatchCapacity BatchCapacity::with_room(double share, std::int64_t positions) const {
  const auto more = [&](std::int64_t count) {
    const auto wanted = static_cast<std::int64_t>(std::ceil(static_cast<double>(count) * (1 + share)));
    return std::max(count, std::min(wanted, positions));
  };
  BatchCapacity result = *this;
  if (two_streams)
    for (std::int64_t& count : result.rows) count = in_multiples(more(count) + 1);
  else  // one to spare is for what is left of codes and features, see lack_for()
    result.rows[0] = in_multiples(std::max(positions, rows[0]) + (codes.empty() && features.empty() ? 0 : 1));
  for (std::vector<std::int64_t>* counts : {&result.codes, &result.features})
    for (std::int64_t& count : *counts) count = in_multiples(more(count));
  for (Group& group : result.groups) group.rows = in_multiples(more(group.rows));
  return result;
}

std::string BatchCapacity::lack_for(const BatchCapacity& needed) const {
  const auto lack = [](std::int64_t has, std::int64_t wanted, const auto&... what) {
    return concat("room for ", has, " ", what..., ", not for ", wanted);
  };
  for (std::size_t s = 0; s < rows.size(); ++s)
    if (needed.rows[s] > rows[s]) return lack(rows[s], needed.rows[s], "positions of stream ", s);
  const auto lack_of = [&](const std::vector<std::int64_t>& has, const std::vector<std::int64_t>& wanted,
                           const char* what) -> std::string {
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (i >= has.size() || wanted[i] > has[i]) return lack(i < has.size() ? has[i] : 0, wanted[i], what, i);
    return {};
  };
  if (std::string found = lack_of(codes, needed.codes, "codes of range "); !found.empty()) return found;
  if (std::string found = lack_of(features, needed.features, "features of input "); !found.empty())
    return found;
  // What is left of them is put at positions that weigh nothing.
  if (!(codes.empty() && features.empty()) && needed.positions() >= positions())
    return lack(positions() - 1, needed.positions(), "positions in all");
  for (const Group& group : needed.groups) {
    const auto own = find_group(groups, group);
    if (own == groups.end() || own->rows < group.rows)
      return lack(own == groups.end() ? 0 : own->rows, group.rows, "losses of ",
                  sequence::modality_name(static_cast<sequence::Modality>(group.modality)), " among ",
                  group.allowed.count(), " tokens");
  }
  return {};
}

}  // namespace omni::model
