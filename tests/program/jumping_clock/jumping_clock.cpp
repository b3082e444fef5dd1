// Preloaded: a machine whose clock is set to and fro while a program runs, at other moments for each rank. Half a
// second each it is right, a month ahead, right, a month behind. What asks for the time is told so, and what waits
// for a moment of that clock waits as long as it would there. Times since the machine was started stay right.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/time.h>
#include <time.h>

#include <cerrno>
#include <cstdlib>

namespace {

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

int ask(clockid_t clock, timespec* now) {
  static const auto gettime = real<int(clockid_t, timespec*)>("clock_gettime");
  return gettime(clock, now);
}

timespec steady() {
  timespec now{};
  ask(CLOCK_MONOTONIC, &now);
  return now;
}

long seconds_ahead() {
  constexpr long kMonth = 30L * 24 * 3600;
  constexpr long kAhead[] = {0, kMonth, 0, -kMonth};
  static const long rank = [] {
    const char* variable = std::getenv("RANK");
    return variable == nullptr ? 0L : std::atol(variable);
  }();
  const timespec now = steady();
  const long halves = 2 * now.tv_sec + now.tv_nsec / 500'000'000;
  return kAhead[(halves + rank) % 4];
}

timespec shown() {
  timespec now{};
  ask(CLOCK_REALTIME, &now);
  now.tv_sec += seconds_ahead();
  return now;
}

timespec soon() {
  constexpr long kLook = 20'000'000, kSecond = 1'000'000'000;  // ns
  timespec moment = steady();
  moment.tv_nsec += kLook;
  moment.tv_sec += moment.tv_nsec / kSecond;
  moment.tv_nsec %= kSecond;
  return moment;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const int result = ask(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += seconds_ahead();
  return result;
}

time_t time(time_t* seconds) noexcept {
  const time_t now = shown().tv_sec;
  if (seconds != nullptr) *seconds = now;
  return now;
}

int gettimeofday(timeval* now, void*) noexcept {
  const timespec moment = shown();
  *now = {moment.tv_sec, moment.tv_nsec / 1000};
  return 0;
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* end) {
  static const auto wait_until =
      real<int(pthread_cond_t*, pthread_mutex_t*, clockid_t, const timespec*)>("pthread_cond_clockwait");
  while (true) {
    const timespec now = shown();
    if (now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec))
      return ETIMEDOUT;
    const timespec look = soon();
    const int result = wait_until(condition, mutex, CLOCK_MONOTONIC, &look);
    if (result != ETIMEDOUT) return result;
  }
}

}  // extern "C"
