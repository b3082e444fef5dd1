#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace omni::tools {

// Where a command's result goes: a file, or standard output, on which there is then nothing else.
class ResultFile {
 public:
  ResultFile() = default;  // no result is wanted
  // `out`: a path whose ending tells the format, or "-" for standard output in `format` (an ending without
  // its dot). Throws Error(usage) for a format beside a path; `fallback` is the format of "-" where none is
  // given.
  ResultFile(const std::string& out, const std::string& format, std::string_view fallback);

  bool wanted() const { return !path_.empty(); }
  bool is_standard_output() const { return standard_output_; }
  // Of standard output: "-" and the format's ending.
  const std::filesystem::path& path() const { return path_; }

  // x.glb -> x_3.glb, for one of several results. Not for standard output.
  ResultFile numbered(std::uint64_t number) const;
  // Throws Error(io) where the file could not be written to, Error(usage) for a folder; before any work.
  void check_place() const;
  void write(std::span<const std::byte> bytes) const;  // a file atomically; throws Error(io)
  void write(std::string_view text) const;

 private:
  std::filesystem::path path_;
  bool standard_output_ = false;
};

// The option --format of a command that may write to standard output.
CLI::Option* add_format_option(CLI::App& command, std::string& format,
                               const std::vector<std::string>& formats);

}  // namespace omni::tools
