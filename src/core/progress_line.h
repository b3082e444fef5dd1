#pragma once

#include <cstdint>
#include <string>

namespace omni {

// What a Progress writes.

struct ProgressNumbers {
  std::string title, unit, note;
  std::int64_t done = 0;
  std::int64_t total = 0;        // 0: not known
  std::int64_t done_before = 0;  // of `done`, before the start
  double seconds = 0;            // since the start
  bool last = false;
};

// One line. On a terminal of so many columns a bar is drawn where the numbers leave room for it; 0: no
// terminal, no bar. A line may still be longer than that by its numbers alone.
std::string progress_line(const ProgressNumbers& now, std::size_t columns);

}  // namespace omni
