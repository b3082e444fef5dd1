#include "watchdog.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "omni/core/error.h"

namespace omni::distributed {
namespace {

constexpr const char* kLeft = "left";
std::string beat_key(int rank) { return concat("beat/", rank); }

// "BEATS CALLS": the calls that a rank has begun, or nothing of one that has left.
std::optional<std::int64_t> calls_of(const std::string& beat) {
  const std::size_t space = beat.find(' ');
  std::int64_t calls = 0;
  if (space == std::string::npos ||
      std::from_chars(beat.data() + space + 1, beat.data() + beat.size(), calls).ec != std::errc())
    return std::nullopt;
  return calls;
}

}  // namespace

Watchdog::Watchdog(std::unique_ptr<Store> store, Peers peers, const RankTimes& times)
    : store_(std::move(store)),
      peers_(std::move(peers)),
      times_(times),
      seen_(peers_.hosts.size(), {"", Clock::now()}),
      store_answered_(Clock::now()) {
  ensure(times.silence >= 4 * times.heartbeat, "one late heartbeat is no silence");
  beating_ = std::thread([this] { beat(); });
  watching_ = std::thread([this] { keep_watch(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
    changed_.notify_all();
  }
  beating_.join();
  {
    const std::lock_guard lock(mutex_);
    beating_ended_ = true;
    changed_.notify_all();
  }
  watching_.join();
}

void Watchdog::guard(Collectives* collectives) {
  const std::lock_guard lock(mutex_);
  collectives_ = collectives;
  if (collectives_ != nullptr && verdict_) collectives_->abort(CollectiveError(verdict_->text, -1, false));
}

void Watchdog::pronounce(const Verdict& verdict) {
  const std::lock_guard lock(mutex_);
  if (verdict_) return;
  verdict_ = verdict;
  if (collectives_ != nullptr) collectives_->abort(CollectiveError(verdict.text, -1, false));
  changed_.notify_all();
}

// Who waits for whom says little: the rank that is behind holds up all others.
std::string Watchdog::find_hanging(Store& store) const {
  int slowest = -1;
  std::int64_t fewest = std::numeric_limits<std::int64_t>::max(), most = 0;
  try {
    for (int rank = 0; rank < peers_.size(); ++rank) {
      const std::optional<std::int64_t> calls = calls_of(store.get(beat_key(rank)).value_or(""));
      if (calls && *calls < fewest) slowest = rank, fewest = *calls;
      most = std::max(most, calls.value_or(0));
    }
  } catch (const Error&) {  // then the failure is told as it was met
    return {};
  }
  if (slowest < 0 || fewest == most) return {};
  return concat(peers_.name(slowest), " hangs: it has begun ", fewest, " calls, another rank ", most);
}

Verdict Watchdog::judge(const CollectiveError& failure, Store& store) {
  {
    const std::lock_guard lock(mutex_);
    if (verdict_) return *verdict_;
  }
  std::string text = failure.what();
  if (failure.timed_out()) {
    // Who waits for whom says little: the one that is behind holds up all others.
    const std::string hanging = find_hanging(store);
    if (!hanging.empty()) text = concat(hanging, " (", failure.what(), ")");
  }
  return judge(Verdict{ErrorKind::io, text}, store);
}

Verdict Watchdog::judge(const Verdict& failure, Store& store) {
  {
    const std::lock_guard lock(mutex_);
    if (verdict_) return *verdict_;
  }
  Verdict verdict = failure;
  try {
    verdict = propose(store, failure);
  } catch (const Error&) {  // the store is gone: the others find that out themselves
  }
  pronounce(verdict);
  return verdict;
}

void Watchdog::beat() {
  Clock::time_point last = Clock::now();
  for (bool leaving = false; !leaving;) {
    std::int64_t calls = 0;
    {
      const std::lock_guard lock(mutex_);
      leaving = leaving_;
      if (collectives_ != nullptr) calls = collectives_->calls_begun();
    }
    try {
      store_->set(beat_key(peers_.rank), leaving ? kLeft : concat(++beats_, " ", calls));
      // A rank that was stopped itself has not seen the others for as long.
      if (Clock::now() - last > times_.silence / 2)
        for (Seen& seen : seen_) seen.since = Clock::now();
      last = Clock::now();
      if (!leaving) look_after_others();
    } catch (const Error& error) {
      pronounce({ErrorKind::io, concat(peers_.name(0), " or its launcher is gone: ", error.what())});
      return;
    }
    std::unique_lock lock(mutex_);
    store_answered_ = Clock::now();
    if (!leaving) changed_.wait_for(lock, times_.heartbeat, [&] { return leaving_; });
  }
}

void Watchdog::look_after_others() {
  const std::optional<std::string> packed = store_->get(kVerdictKey);
  if (packed && !packed->empty()) return pronounce(unpack_verdict(*packed));
  for (int rank = 0; rank < peers_.size(); ++rank) {
    if (rank == peers_.rank) continue;
    const std::string beat = store_->get(beat_key(rank)).value_or("");
    Seen& seen = seen_[rank];
    if (beat != seen.beat || beat == kLeft) seen = {beat, Clock::now()};
    if (Clock::now() - seen.since <= times_.silence) continue;
    const double seconds = std::chrono::duration<double>(times_.silence).count();
    return pronounce(
        propose(*store_, {ErrorKind::io, concat(peers_.name(rank), " has given no sign of life for ", seconds,
                                                " s: it is frozen, or its host cannot be reached")}));
  }
}

void Watchdog::keep_watch() {
  std::unique_lock lock(mutex_);
  Clock::time_point last = Clock::now();
  while (!beating_ended_ && !verdict_) {
    changed_.wait_for(lock, times_.heartbeat, [&] { return beating_ended_ || verdict_; });
    const Clock::time_point now = Clock::now();
    if (now - last > times_.silence / 2) store_answered_ = now;  // this process was stopped itself
    last = now;
    if (verdict_ || now - store_answered_ <= times_.silence) continue;
    lock.unlock();
    const double seconds = std::chrono::duration<double>(times_.silence).count();
    pronounce(
        {ErrorKind::io, concat(peers_.name(0), " or its launcher, which holds the ranks' store, has not ",
                               "answered for ", seconds, " s: it is frozen, or its host cannot be reached")});
    lock.lock();
  }
  if (beating_ended_) return;
  const Verdict verdict = *verdict_;
  if (!changed_.wait_for(lock, times_.grace, [&] { return beating_ended_; })) end_process(verdict);
}

void Watchdog::end_process(const Verdict& verdict) {
  // At once: the work, which may hang anywhere, must not run destructors beside this.
  const std::string text = "omni: " + verdict.text + "\n";
  // Nobody may read what this process says; that may be what the work hangs at.
  pollfd output{STDERR_FILENO, POLLOUT, 0};
  constexpr int kMilliseconds = 1000;
  if (::poll(&output, 1, kMilliseconds) == 1) [[maybe_unused]]
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  ::_exit(exit_code(verdict.kind));
}

void wait_for_others_to_leave(Store& store, const Peers& peers, std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (int rank = 0; rank < peers.size(); ++rank)
    while (rank != peers.rank && store.get(beat_key(rank)) != kLeft && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

}  // namespace omni::distributed
