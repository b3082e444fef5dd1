#include "omni/core/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <sstream>

#include "omni/core/error.h"
#include "progress_line.h"

namespace omni {

namespace {
using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

// UTF-8: every byte but those that continue a character starts one.
std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}
}  // namespace

std::string format_duration(double seconds) {
  constexpr double kLongest = 3.6e12;  // a billion hours: files may say anything
  const auto total = static_cast<std::int64_t>(std::llround(std::max(0.0, std::min(seconds, kLongest))));
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

std::string progress_line(const ProgressNumbers& now, std::size_t columns) {
  const double elapsed = std::max(1e-6, now.seconds);
  const double rate = static_cast<double>(now.done - now.done_before) / elapsed;
  std::ostringstream out;
  out << now.done;
  if (now.total > 0) out << '/' << now.total;
  char rate_text[32];
  std::snprintf(rate_text, sizeof rate_text, rate < 10 ? "%.2f" : "%.0f", rate);
  out << ' ' << now.unit << ", " << rate_text << "/s";
  if (now.total > now.done && rate > 0 && !now.last)
    out << ", " << format_duration(static_cast<double>(now.total - now.done) / rate) << " left";
  else
    out << ", " << format_duration(elapsed);
  if (!now.note.empty()) out << ", " << now.note;
  const std::string numbers = out.str();
  if (columns == 0) return concat(now.title, ' ', numbers);

  // The bar takes what the words leave; where they leave too little, the title goes as well.
  constexpr std::size_t kWidest = 24, kNarrowest = 5, kAround = 3;  // cells; brackets and a space
  const std::size_t words = columns_of(now.title) + 1 + columns_of(numbers);
  if (words > columns) return numbers;
  const std::size_t room = columns - words;
  if (now.total == 0 || room < kNarrowest + kAround) return concat(now.title, ' ', numbers);
  const std::size_t width = std::min(kWidest, room - kAround);
  const double share = static_cast<double>(std::min(now.done, now.total)) / static_cast<double>(now.total);
  const auto filled = static_cast<std::size_t>(static_cast<double>(width) * share);
  return concat(now.title, " [", std::string(filled, '#'), std::string(width - filled, '.'), "] ", numbers);
}

struct Progress::State {
  std::mutex mutex;
  std::string title, unit, note;
  std::int64_t total = 0, done = 0, done_before = 0;
  bool terminal = false;
  Clock::time_point start = Clock::now();
  Clock::time_point last_print = start;

  void print(bool last) {
    const std::size_t columns = terminal ? terminal_columns() - 1 : 0;
    const std::string text = progress_line(
        {title, unit, note, done, total, done_before, seconds_between(start, Clock::now()), last}, columns);
    if (terminal)
      std::fprintf(stderr, "\r\033[K%s%s", text.substr(0, columns).c_str(), last ? "\n" : "");
    else
      std::fprintf(stderr, "%s\n", text.c_str());
    std::fflush(stderr);
  }
};

Progress::Progress(std::string title, std::int64_t total, std::string unit, std::int64_t done_before)
    : state_(std::make_unique<State>()) {
  state_->title = std::move(title);
  state_->unit = std::move(unit);
  state_->total = total;
  state_->done = state_->done_before = done_before;
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
