#include "read_notes.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/core/utf8.h"

namespace omni::geometry {

void ReadNotes::add(std::string_view what, std::string_view first, std::size_t count) {
  if (count == 0) return;
  const auto at =
      std::find_if(notes_.begin(), notes_.end(), [&](const Note& note) { return note.what == what; });
  if (at != notes_.end()) {
    at->count += count;
  } else {
    constexpr std::size_t kMostBytes = 400;
    notes_.push_back({std::string(what), printable(first, kMostBytes), count});
  }
}

std::vector<std::string> ReadNotes::lines() const {
  std::vector<std::string> lines;
  for (const Note& note : notes_)
    lines.push_back(
        concat(note.what, " (", note.count, note.count == 1 ? ": " : ", the first: ", note.first, ")"));
  return lines;
}

}  // namespace omni::geometry
