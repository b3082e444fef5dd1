#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace omni {

class Descriptor;

// A turn with a file that is there, among threads and programs that each wait for theirs: for what all want made and one
// is to make. The kernel holds the lock (flock), so it ends with its process at the latest; where the file or its file
// system has no such locks, everybody's turn comes at once.
class FileTurn {
 public:
  // Waits until the file is free; `waiting` is told once where it is not. Throws Error(interrupted).
  FileTurn(const std::filesystem::path& file, std::string_view waiting);
  ~FileTurn();
  FileTurn(const FileTurn&) = delete;
  FileTurn& operator=(const FileTurn&) = delete;

 private:
  std::unique_ptr<Descriptor> file_;
};

}  // namespace omni
