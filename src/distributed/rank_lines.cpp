#include "rank_lines.h"

#include <algorithm>
#include <set>

#include "omni/core/error.h"

namespace omni::distributed {

RankLines::RankLines(int ranks, std::function<void(const std::string& line)> tell)
    : tell_(std::move(tell)), unfinished_(static_cast<std::size_t>(ranks)) {}

void RankLines::add(int rank, std::string_view bytes) {
  constexpr std::size_t kLongest = 64 << 10;
  std::string& line = unfinished_.at(rank);
  for (const char c : bytes) {
    if (c != '\n') line += c;
    if (c != '\n' && line.size() < kLongest) continue;
    pass(rank, line);
    line.clear();
  }
}

void RankLines::pass(int rank, const std::string& line) {
  if (line.starts_with(kErrorBeginning))
    kept_.push_back({rank, line});
  else
    tell_(concat("[rank ", rank, "] ", line));
}

void RankLines::finish(const std::string& told, const std::function<bool(int rank)>& silent) {
  for (std::size_t rank = 0; rank < unfinished_.size(); ++rank)
    if (!unfinished_[rank].empty()) pass(static_cast<int>(rank), std::exchange(unfinished_[rank], {}));
  std::set<std::string> known = {told};
  for (const Kept& kept : kept_)
    if (!silent(kept.rank) && known.insert(kept.line).second)
      tell_(concat("[rank ", kept.rank, "] ", kept.line));
  kept_.clear();
}

}  // namespace omni::distributed
