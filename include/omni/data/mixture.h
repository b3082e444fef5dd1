#pragma once

#include <cstdint>
#include <vector>

namespace omni::data {

// What a mixture is made of: one entry per task.
struct MixtureEntry {
  double weight = 0;          // relative; 0 leaves the task out
  double mean_tokens = 1;     // of its documents
  std::int64_t examples = 1;  // distinct training examples
};

struct MixtureOptions {
  bool weights_count_tokens = false;  // weights are shares of tokens instead of documents
  double temperature = 1;             // weights become weight^(1 / temperature): above 1 evens them out
  double repeat_cap = 0;              // how often at most a task may show each example; 0: no cap
  double total_documents = 0;         // of the whole run, for the cap
  bool reweight = false;  // what the cap does: move weight to the other tasks (with a warning), or fail
};

// The share of documents of each task; they add up to 1. Throws Error(usage) where no weight is positive, a
// number is out of range, or the cap cannot be kept.
std::vector<double> mixture_shares(const std::vector<MixtureEntry>& entries, const MixtureOptions& options);

// Deals tasks to documents: which task document n belongs to, and how many documents of that task come before
// it. A pure function of (shares, seed, n). Shares are kept exactly in every round of `kRound` documents (to
// 1 / kRound, and at least one document for a positive share); the order inside a round is random and the
// same in every round.
class MixtureSchedule {
 public:
  static constexpr std::int64_t kRound = 4096;
  MixtureSchedule(const std::vector<double>& shares, std::uint64_t seed);

  struct Draw {
    std::size_t task;
    std::int64_t use;  // 0, 1, 2, ... for each task, in the order of the documents
  };
  Draw draw(std::int64_t document) const;
  std::int64_t documents_per_round(std::size_t task) const { return counts_[task]; }

 private:
  std::vector<std::int64_t> counts_;  // of each task in a round
  std::vector<Draw> round_;
};

}  // namespace omni::data
