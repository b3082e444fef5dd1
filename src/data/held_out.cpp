#include "held_out.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/core/shuffle.h"
#include "omni/data/palette.h"

namespace omni::data {
namespace {

constexpr double kNewInstanceShare = 0.08;

// Attribute and bin that a held-out value names.
std::pair<int, int> find_value(const ObjectClass& kind, const AttributeValue& value) {
  for (std::size_t a = 0; a < kind.attributes.size(); ++a) {
    if (kind.attributes[a].name != value.attribute) continue;
    const auto& words = kind.attributes[a].words;
    const auto at = std::find(words.begin(), words.end(), value.word);
    if (at != words.end()) return {static_cast<int>(a), static_cast<int>(at - words.begin())};
  }
  fail(ErrorKind::internal, "class ", kind.name, " cannot hold out ", value.attribute, "=", value.word);
}

std::vector<std::uint8_t> geometries_with(const ObjectClass& kind,
                                          const std::vector<AttributeValue>& values) {
  std::vector<std::uint8_t> held(static_cast<std::size_t>(geometry_count(kind)), 0);
  for (const AttributeValue& value : values) {
    const auto [attribute, bin] = find_value(kind, value);
    for (std::size_t g = 0; g < held.size(); ++g)
      if (decode_bins(kind, static_cast<std::int64_t>(g))[attribute] == bin) held[g] = 1;
  }
  return held;
}

// How often each pair of values of two attributes occurs among the geometries left for training.
class PairCounts {
 public:
  void add(const std::vector<int>& bins, int amount) {
    for (std::size_t a = 0; a < bins.size(); ++a)
      for (std::size_t b = a + 1; b < bins.size(); ++b) counts_[key(a, bins[a], b, bins[b])] += amount;
  }
  bool all_occur_twice(const std::vector<int>& bins) const {
    for (std::size_t a = 0; a < bins.size(); ++a)
      for (std::size_t b = a + 1; b < bins.size(); ++b)
        if (counts_.at(key(a, bins[a], b, bins[b])) < 2) return false;
    return true;
  }

 private:
  static std::uint32_t key(std::size_t a, int u, std::size_t b, int v) {
    return static_cast<std::uint32_t>(((a * 16 + static_cast<std::size_t>(u)) * 16 + b) * 16 +
                                      static_cast<std::size_t>(v));
  }
  std::map<std::uint32_t, int> counts_;
};

std::vector<std::uint8_t> choose_new_instances(const ObjectClass& kind, const HeldOut& held, CounterRng rng) {
  std::vector<std::int64_t> eligible;
  PairCounts counts;
  for (std::int64_t g = 0; g < geometry_count(kind); ++g) {
    if (held.attribute[g] || held.count[g]) continue;
    eligible.push_back(g);
    counts.add(decode_bins(kind, g), 1);
  }
  std::vector<std::uint8_t> chosen(held.attribute.size(), 0);
  const auto wanted =
      static_cast<std::size_t>(std::max(1.0, kNewInstanceShare * static_cast<double>(eligible.size()) + 0.5));
  std::size_t taken = 0;
  shuffle(std::span(eligible), rng);
  for (const std::int64_t g : eligible) {
    if (taken == wanted) break;
    const std::vector<int> bins = decode_bins(kind, g);
    if (!counts.all_occur_twice(bins)) continue;
    counts.add(bins, -1);
    chosen[g] = 1;
    ++taken;
  }
  return chosen;
}

}  // namespace

std::int64_t geometry_count(const ObjectClass& kind) {
  std::int64_t count = 1;
  for (const AttributeSpec& a : kind.attributes) count *= static_cast<std::int64_t>(a.words.size());
  return count;
}

std::vector<int> decode_bins(const ObjectClass& kind, std::int64_t geometry) {
  std::vector<int> bins(kind.attributes.size());
  for (std::size_t a = kind.attributes.size(); a-- > 0;) {
    const auto radix = static_cast<std::int64_t>(kind.attributes[a].words.size());
    bins[a] = static_cast<int>(geometry % radix);
    geometry /= radix;
  }
  return bins;
}

std::vector<HeldOut> choose_held_out(const std::vector<ObjectClass>& classes, std::uint64_t seed) {
  // Colours are dealt from a shuffled palette, so that each is held out for about as many classes as any
  // other.
  std::vector<int> order(palette().size());
  std::iota(order.begin(), order.end(), 0);
  CounterRng rng(seed, hash_string("held-out colours"));
  shuffle(std::span(order), rng);
  std::vector<HeldOut> all;
  std::size_t next = 0;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const ObjectClass& kind = classes[c];
    HeldOut held;
    held.attribute = geometries_with(kind, kind.held_out_attributes);
    held.count = geometries_with(kind, kind.held_out_counts);
    held.new_instance = choose_new_instances(
        kind, held, CounterRng(seed, hash_combine(hash_string("new instances"), hash_string(kind.name))));
    held.colour.assign(palette().size(), 0);
    for (std::size_t i = 0; i < 1 + c % 2; ++i) held.colour[order[next++ % order.size()]] = 1;
    all.push_back(std::move(held));
  }
  return all;
}

std::optional<Split> split_of(const HeldOut& held, std::int64_t geometry, int main_colour) {
  const int rules = held.new_instance[geometry] + held.attribute[geometry] + held.count[geometry] +
                    held.colour[main_colour];
  if (rules == 0) return Split::train;
  if (rules > 1) return std::nullopt;
  if (held.new_instance[geometry]) return Split::new_instance;
  if (held.attribute[geometry]) return Split::unseen_attribute;
  if (held.count[geometry]) return Split::unseen_count;
  return Split::unseen_colour;
}

}  // namespace omni::data
