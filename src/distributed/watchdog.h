#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "gloo_links.h"
#include "omni/distributed/collectives.h"
#include "omni/distributed/ranks.h"
#include "store.h"
#include "verdict.h"

namespace omni::distributed {

// Two threads beside a rank's work. One tells the others by the store, once per heartbeat, that this rank
// lives and how far it is, and looks after them. The other never touches the store, so it sees when the first
// is held up, and it ends the process where the work does not end after a verdict.
class Watchdog {
 public:
  // `store`: a connection of its own. The other ranks have met this one.
  Watchdog(std::unique_ptr<Store> store, Peers peers, const RankTimes& times);
  // Returns when the threads have ended; does not return where the store holds one up for ever.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Whose calls it counts, and ends after a verdict; nullptr where there are none any more.
  void guard(Collectives* collectives);
  // What ends the run after this rank has met `failure`, or has failed itself with `failure`.
  Verdict judge(const CollectiveError& failure, Store& store);
  Verdict judge(const Verdict& failure, Store& store);

 private:
  using Clock = std::chrono::steady_clock;
  struct Seen {
    std::string beat;
    Clock::time_point since;
  };

  void beat();
  void look_after_others();
  void keep_watch();
  void pronounce(const Verdict& verdict);
  [[noreturn]] void end_process(const Verdict& verdict);
  std::string find_hanging(Store& store) const;  // empty where none is behind

  const std::unique_ptr<Store> store_;
  const Peers peers_;
  const RankTimes times_;
  std::vector<Seen> seen_;  // of the beating thread alone
  std::int64_t beats_ = 0;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  Collectives* collectives_ = nullptr;
  std::optional<Verdict> verdict_;
  Clock::time_point store_answered_;
  bool leaving_ = false, beating_ended_ = false;
  std::thread beating_, watching_;
};

// Waits until the other ranks have left, too: for the rank that holds the store.
void wait_for_others_to_leave(Store& store, const Peers& peers, std::chrono::milliseconds patience);

}  // namespace omni::distributed
