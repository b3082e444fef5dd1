#include "omni/data/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/data/seeded_permutation.h"

namespace omni::data {
namespace {

void normalise(std::vector<double>& shares) {
  const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
  if (!(total > 0) || !std::isfinite(total)) {
    fail(ErrorKind::usage, "mixing the tasks: no task has a positive weight. Give at least one.");
  }
  for (double& share : shares) share /= total;
}

// Shares that are too large for their examples are cut; the others grow in proportion, until none is too
// large.
std::vector<double> keep_cap(std::vector<double> shares, const std::vector<double>& limits) {
  std::vector<bool> cut(shares.size(), false);
  for (std::size_t round = 0; round < shares.size(); ++round) {
    double free_share = 1, free_weight = 0;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (!cut[i] && shares[i] > limits[i]) {
        cut[i] = true;
        shares[i] = limits[i];
      }
      if (cut[i]) {
        free_share -= shares[i];
      } else {
        free_weight += shares[i];
      }
    }
    if (free_weight <= 0) {
      if (free_share <= 1e-9) return shares;
      fail(ErrorKind::usage,
           "mixing the tasks: the data are too few for the run under this repeat cap. Train for "
           "fewer steps, raise the cap, or add data.");
    }
    bool grown_too_large = false;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (!cut[i]) shares[i] *= free_share / free_weight;
      grown_too_large = grown_too_large || (!cut[i] && shares[i] > limits[i]);
    }
    if (!grown_too_large) return shares;
  }
  return shares;
}

}  // namespace

std::vector<double> mixture_shares(const std::vector<MixtureEntry>& entries, const MixtureOptions& options) {
  if (!(options.temperature > 0))
    fail(ErrorKind::usage, "mixing the tasks: the temperature must be above 0.");
  std::vector<double> shares;
  for (const MixtureEntry& entry : entries) {
    if (!(entry.weight >= 0) || !std::isfinite(entry.weight)) {
      fail(ErrorKind::usage, "mixing the tasks: a weight is negative or no number.");
    }
    const double weight = entry.weight > 0 ? std::pow(entry.weight, 1 / options.temperature) : 0;
    shares.push_back(options.weights_count_tokens ? weight / entry.mean_tokens : weight);
  }
  normalise(shares);
  if (options.repeat_cap <= 0 || options.total_documents <= 0) return shares;
  std::vector<double> limits;
  bool over = false;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    limits.push_back(options.repeat_cap * static_cast<double>(entries[i].examples) / options.total_documents);
    over = over || shares[i] > limits[i] * (1 + 1e-9);
  }
  if (!over) return shares;
  if (!options.reweight) {
    fail(ErrorKind::usage, "mixing the tasks: a task would show its examples more than ", options.repeat_cap,
         " times. Lower its weight, train for fewer steps, raise the repeat cap, or let it reweight.");
  }
  log_warning("the repeat cap of ", options.repeat_cap, " lowers the weight of tasks with few examples");
  return keep_cap(std::move(shares), limits);
}

MixtureSchedule::MixtureSchedule(const std::vector<double>& shares, std::uint64_t seed) {
  std::vector<std::int64_t>& counts = counts_;
  std::vector<std::pair<double, std::size_t>> remainders;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const double exact = shares[i] * static_cast<double>(kRound);
    const auto count = shares[i] > 0 ? std::max<std::int64_t>(1, static_cast<std::int64_t>(exact)) : 0;
    counts.push_back(count);
    total += count;
    if (shares[i] > 0) remainders.emplace_back(exact - static_cast<double>(count), i);
  }
  ensure(!remainders.empty(), "a mixture without tasks");
  std::sort(remainders.begin(), remainders.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (std::size_t i = 0; total < kRound; i = (i + 1) % remainders.size(), ++total)
    ++counts[remainders[i].second];
  while (total > kRound) {  // many tiny shares were rounded up to one document
    --*std::max_element(counts.begin(), counts.end());
    --total;
  }
  std::vector<std::size_t> sorted;
  for (std::size_t task = 0; task < counts.size(); ++task) {
    sorted.insert(sorted.end(), static_cast<std::size_t>(counts[task]), task);
  }
  const SeededPermutation order(static_cast<std::uint64_t>(kRound), seed);
  std::vector<std::int64_t> used(counts.size(), 0);
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(kRound); ++i) {
    const std::size_t task = sorted[order(i)];
    round_.push_back({task, used[task]++});
  }
}

MixtureSchedule::Draw MixtureSchedule::draw(std::int64_t document) const {
  const Draw& place = round_[static_cast<std::size_t>(document % kRound)];
  return {place.task, document / kRound * counts_[place.task] + place.use};
}

}  // namespace omni::data
