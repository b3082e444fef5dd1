#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace omni {

// Progress of long work on standard error: on a terminal one line that is redrawn (bar, rate, time left),
// elsewhere a plain line at most every ten seconds and one at the end. Thread-safe.
class Progress {
 public:
  // `total` in units of `unit`; 0: not known. `done_before`: of these, by a run before, which count for no rate.
  Progress(std::string title, std::int64_t total, std::string unit, std::int64_t done_before = 0);
  ~Progress();  // ends the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::int64_t count = 1);
  void set_note(std::string note);  // a short text after the numbers, such as the current loss

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The width of the terminal that standard error goes to; 80 where it goes elsewhere. A longer line would
// wrap, and a line that wraps cannot be drawn over.
std::size_t terminal_columns();

std::string format_duration(double seconds);  // "42 s", "3 min 05 s", "2 h 10 min"

}  // namespace omni
