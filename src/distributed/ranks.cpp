#include "omni/distributed/ranks.h"

#include <ATen/Parallel.h>

#include "broken_pipes.h"
#include "gloo_collectives.h"
#include "meeting.h"
#include "nccl_collectives.h"
#include "omni/core/error.h"
#include "omni/core/hash.h"
#include "omni/core/parallel.h"
#include "omni/core/text_format.h"
#include "watchdog.h"

namespace omni::distributed {
namespace {

class LoneRank final : public Ranks {
 public:
  Collectives& collectives() override { return *collectives_; }
  void compare(const std::vector<Fingerprint>& /*mine*/) override {}
  std::vector<std::string> gather(const std::string& /*name*/, const std::string& mine) override {
    return {mine};
  }

 private:
  std::unique_ptr<Collectives> collectives_ = make_lone_collectives();
};

class RankAmongOthers final : public Ranks {
 public:
  RankAmongOthers(Store& store, const Peers& peers, const RankTimes& times, Collectives& collectives)
      : store_(store),
        texts_(store.another_connection()),
        peers_(peers),
        times_(times),
        collectives_(collectives) {}
  Collectives& collectives() override { return collectives_; }
  void compare(const std::vector<Fingerprint>& mine) override {
    compare_fingerprints(store_, peers_, ++comparisons_, mine, times_.call);
  }
  std::vector<std::string> gather(const std::string& name, const std::string& mine) override {
    const std::string key = concat("gather/", name, "/");
    texts_->set(key + std::to_string(peers_.rank), mine);
    if (peers_.rank != 0) return {};
    return distributed::gather(*texts_, peers_.size(), key, times_.call);
  }

 private:
  Store& store_;
  std::unique_ptr<Store> texts_;  // gather() may come from another thread
  const Peers& peers_;
  const RankTimes& times_;
  Collectives& collectives_;
  int comparisons_ = 0;
};

// While it lives, the watchdog ends these calls where the run has failed.
class Guarded {
 public:
  Guarded(Watchdog& watchdog, Collectives& collectives) : watchdog_(watchdog) {
    watchdog_.guard(&collectives);
  }
  ~Guarded() { watchdog_.guard(nullptr); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

 private:
  Watchdog& watchdog_;
};

[[noreturn]] void end_with(const Verdict& verdict) { throw Error(verdict.kind, verdict.text); }

// Runs `work`; where it fails, the verdict is there before what `work` does not own goes out of scope: a rank
// whose links are closed first would be told as one that is gone, without its reason.
template <class Work>
void with_verdict(Watchdog& watchdog, Store& store, const Peers& peers, const Work& work) {
  const auto own = [&](ErrorKind kind, const std::string& reason) {
    return watchdog.judge(Verdict{kind, concat(peers.name(peers.rank), ": ", reason)}, store);
  };
  try {
    work();
  } catch (const CollectiveError& error) {
    end_with(watchdog.judge(error, store));
  } catch (const CommonError& error) {
    end_with(watchdog.judge(Verdict{error.kind(), error.what()}, store));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::stopped || error.kind() == ErrorKind::interrupted) throw;
    end_with(own(error.kind(), error.what()));
  } catch (const std::exception& error) {
    own(ErrorKind::internal, first_line(error.what()));
    throw;  // the program knows what it means
  }
}

void work_among_others(Store& store, const Peers& peers, at::Device device, const RankTimes& times,
                       Watchdog& watchdog, const std::function<void(Ranks&)>& work) {
  std::unique_ptr<Collectives> collectives;
  with_verdict(watchdog, store, peers, [&] {
    constexpr int kProgram = 0;
    const std::string program = std::to_string(hash_file("/proc/self/exe"));
    compare_fingerprints(store, peers, kProgram, {{"program", program}}, times.start);
    collectives = device.is_cpu() ? make_gloo_collectives(store, peers, times.call)
                                  : make_nccl_collectives(store, peers, device, times.call);
  });
  const Guarded guarded(watchdog, *collectives);
  RankAmongOthers ranks(store, peers, times, *collectives);
  with_verdict(watchdog, store, peers, [&] { work(ranks); });
}

}  // namespace

void run_ranks(const LaunchEnvironment& launch, at::Device device, const RankTimes& times,
               const std::function<void(Ranks&)>& work) {
  if (launch.world_size == 1) {
    LoneRank alone;
    return work(alone);
  }
  const BrokenPipesAsErrors no_signals;
  at::set_num_threads(threads_per_rank(launch, hardware_threads(), process_variables()));
  const std::unique_ptr<Store> store = open_store(launch, times.start);
  const Peers peers = meet(*store, launch, times.start);
  const bool holds_store = launch.rank == 0 && !launch.launcher_serves_store;
  try {
    Watchdog watchdog(store->another_connection(), peers, times);
    work_among_others(*store, peers, device, times, watchdog, work);
  } catch (...) {
    if (holds_store) wait_for_others_to_leave(*store, peers, times.grace + 2 * times.heartbeat);
    throw;
  }
  if (holds_store) wait_for_others_to_leave(*store, peers, times.call);
}

}  // namespace omni::distributed
