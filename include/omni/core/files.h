#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace omni {

// Reads a whole file. Throws Error(io) if it is missing, unreadable, a folder, or larger than `limit_bytes`.
std::vector<std::byte> read_file_bytes(const std::filesystem::path& path,
                                       std::uint64_t limit_bytes = std::uint64_t{4} << 30);
std::string read_file_text(const std::filesystem::path& path,
                           std::uint64_t limit_bytes = std::uint64_t{1} << 30);

// Writes to a temporary name in the same folder, flushes to disk, renames. On any failure the temporary file
// is removed, an older file at `path` stays as it was, and Error(io) names the path and the system's reason.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// A file that is written piece by piece and appears under its name only on commit(). Throws Error(io).
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();  // removes the temporary file unless committed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // In the place of the first bytes that were written, such as a header that is known at the end.
  void rewrite_start(std::string_view text);
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whether a folder may be put in the place of `path`: there is nothing, an empty folder, or an older one of
// its kind, told by the file `marker` that every such folder holds. Throws Error(usage) for a file and for a
// folder with other things in it, which nobody asked to have removed.
void require_replaceable(const std::filesystem::path& path, std::string_view marker);

// A folder that is filled under a temporary name and appears whole on commit(), replacing an older one. What
// a killed process left of filling the same folder is removed on construction, where the file system has
// locks to tell it from the work of a living one. Throws Error(io).
class AtomicDirectory {
 public:
  AtomicDirectory(std::filesystem::path path, std::string_view marker);  // throws as require_replaceable
  ~AtomicDirectory();  // removes the temporary folder unless committed
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const std::filesystem::path& staging_path() const { return staging_; }
  void commit();

 private:
  struct Lock;
  std::filesystem::path path_;
  std::filesystem::path staging_;
  std::unique_ptr<Lock> lock_;  // on staging_
  bool committed_ = false;
};

// "Chair.GLB" -> ".glb"; "" without an ending.
std::string lower_extension(const std::filesystem::path& path);

// The regular files below a folder, sorted by path. Throws Error(io).
std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder);

// So that what was renamed into the folder is still there after a power cut. Where the file system refuses to
// sync folders, nothing happens.
void sync_folder(const std::filesystem::path& folder);

// Whether prepare_output_directory could do its work, without doing it: what exists of the path is a folder
// that can be written to. Throws Error(io).
void require_writable(const std::filesystem::path& path);

// Creates the folder and its parents if needed and checks that it can be written to. Throws Error(io).
void prepare_output_directory(const std::filesystem::path& path);

}  // namespace omni
