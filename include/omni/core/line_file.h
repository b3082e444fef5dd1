#pragma once

#include <filesystem>
#include <string_view>

namespace omni {

// A log that grows by whole lines (or records). What was appended stays when the process is killed; a line that a
// full disk cuts short is taken back, so that readers never meet half of one.
class LineFile {
 public:
  // Opens for appending and creates the file if needed. Throws Error(io).
  explicit LineFile(std::filesystem::path path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  // Writes `line` and a line break. Throws Error(io); the file is then as it was.
  void append(std::string_view line);
  void append_bytes(std::string_view record);  // likewise, without the line break
  void flush_to_disk();                        // throws Error(io)

 private:
  std::filesystem::path path_;
  int descriptor_;
};

}  // namespace omni
