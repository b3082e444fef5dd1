#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace omni::geometry {

// What a reader leaves out of a file, or reads otherwise than it says: each kind once, with a count and its
// first case, so that a file of a million flaws says as many lines as it has kinds of them.
class ReadNotes {
 public:
  struct Note {
    std::string what, first;
    std::size_t count = 0;
  };

  // `what` goes on from "mesh NAME"; `first` tells where or why, and is kept of the first case alone.
  void add(std::string_view what, std::string_view first, std::size_t count = 1);
  const std::vector<Note>& notes() const { return notes_; }
  // "is read without textures (2, the first: ...)", in the order of appearance.
  std::vector<std::string> lines() const;

 private:
  std::vector<Note> notes_;
};

}  // namespace omni::geometry
