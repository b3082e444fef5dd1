#include "omni/core/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <mutex>

#include "omni/core/error.h"

namespace omni {

namespace {
using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}
}  // namespace

std::string format_duration(double seconds) {
  const auto total = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
  char text[64];
  if (total < 60)
    std::snprintf(text, sizeof text, "%lld s", static_cast<long long>(total));
  else if (total < 3600)
    std::snprintf(text, sizeof text, "%lld min %02lld s", static_cast<long long>(total / 60),
                  static_cast<long long>(total % 60));
  else
    std::snprintf(text, sizeof text, "%lld h %02lld min", static_cast<long long>(total / 3600),
                  static_cast<long long>(total / 60 % 60));
  return text;
}

std::size_t terminal_columns() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

struct Progress::State {
  std::mutex mutex;
  std::string title, unit, note;
  std::int64_t total = 0, done = 0;
  bool terminal = false;
  Clock::time_point start = Clock::now();
  Clock::time_point last_print = start;

  std::string line(bool last) const {
    const double elapsed = std::max(1e-6, seconds_between(start, Clock::now()));
    const double rate = static_cast<double>(done) / elapsed;
    std::ostringstream out;
    out << title << ' ';
    if (terminal && total > 0) {
      constexpr int kWidth = 24;
      const int filled = static_cast<int>(kWidth * std::min<std::int64_t>(done, total) / total);
      out << '[' << std::string(filled, '#') << std::string(kWidth - filled, '.') << "] ";
    }
    out << done;
    if (total > 0) out << '/' << total;
    char rate_text[32];
    std::snprintf(rate_text, sizeof rate_text, rate < 10 ? "%.2f" : "%.0f", rate);
    out << ' ' << unit << ", " << rate_text << "/s";
    if (total > done && rate > 0 && !last)
      out << ", " << format_duration(static_cast<double>(total - done) / rate) << " left";
    else
      out << ", " << format_duration(elapsed);
    if (!note.empty()) out << ", " << note;
    return out.str();
  }

  void print(bool last) {
    const std::string text = line(last);
    if (terminal)
      std::fprintf(stderr, "\r\033[K%s%s", text.substr(0, terminal_columns() - 1).c_str(), last ? "\n" : "");
    else
      std::fprintf(stderr, "%s\n", text.c_str());
    std::fflush(stderr);
  }
};

Progress::Progress(std::string title, std::int64_t total, std::string unit)
    : state_(std::make_unique<State>()) {
  state_->title = std::move(title);
  state_->unit = std::move(unit);
  state_->total = total;
  state_->terminal = ::isatty(STDERR_FILENO) != 0;
}

Progress::~Progress() {
  const std::lock_guard lock(state_->mutex);
  state_->print(true);
}

void Progress::advance(std::int64_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->done += count;
  const Clock::time_point now = Clock::now();
  if (seconds_between(state_->last_print, now) < (state_->terminal ? 0.1 : 10.0)) return;
  state_->last_print = now;
  state_->print(false);
}

void Progress::set_note(std::string note) {
  const std::lock_guard lock(state_->mutex);
  state_->note = std::move(note);
}

}  // namespace omni
