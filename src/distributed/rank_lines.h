#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace omni::distributed {

// What the ranks beside rank 0 write, line by line.

// Passes on the lines of ranks, "[rank 3] ..." each, but keeps errors back, because all ranks tell of the
// same one.
class RankLines {
 public:
  RankLines(int ranks, std::function<void(const std::string& line)> tell);

  void add(int rank, std::string_view bytes);
  // Tells, of the errors that were kept back, those that nobody has told: that differ from `told`, once each,
  // and only of ranks for which `silent(rank)` does not hold.
  void finish(const std::string& told, const std::function<bool(int rank)>& silent);

 private:
  void pass(int rank, const std::string& line);
  struct Kept {
    int rank;
    std::string line;
  };
  std::function<void(const std::string&)> tell_;
  std::vector<std::string> unfinished_;  // per rank
  std::vector<Kept> kept_;
};

inline constexpr std::string_view kErrorBeginning =
    "omni: ";  // of a line in which the program tells an error

}  // namespace omni::distributed
