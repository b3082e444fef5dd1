#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "store.h"
#include "temporary_directory.h"

namespace omni::distributed {

// Ranks as real processes: tests/distributed/rank/ is the program that each of them runs.

struct RankEnding {
  int code = 0;           // 128 + signal where a signal ended it
  bool too_late = false;  // still at work when the time was over, and killed
  std::string output;     // of standard output and standard error
};

class RankProcesses {
 public:
  using Variables = std::map<std::string, std::string>;
  // Starts `count` ranks of "rank_program SCENARIO" with a store that this process serves, or, where
  // OMNI_TEST_OWN_STORE is among the variables, rank 0. `of_rank` adds variables for one rank.
  RankProcesses(int count, const std::string& scenario, const Variables& variables = {},
                const std::map<int, Variables>& of_rank = {});
  ~RankProcesses();  // kills what is left
  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;

  void signal(int rank, int number) const;
  std::string output(int rank) const;  // so far
  // Waits until a rank has printed `text`; false where it does not within `seconds`.
  bool has_printed(int rank, const std::string& text, double seconds = 60) const;
  // Waits for all of them.
  std::vector<RankEnding> wait(double seconds = 60);
  RankEnding wait_for(int rank, double seconds = 60);

 private:
  std::string output_file(int rank) const;

  test::TemporaryDirectory folder_;
  std::unique_ptr<Store> store_;
  std::vector<pid_t> processes_;  // -1: waited for
};

}  // namespace omni::distributed
