#include "result_file.h"

#include <iostream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "options.h"

namespace omni::tools {

namespace fs = std::filesystem;

ResultFile::ResultFile(const std::string& out, const std::string& format, std::string_view fallback)
    : path_(out), standard_output_(out == "-") {
  if (!standard_output_) {
    if (format.empty()) return;
    fail(ErrorKind::usage, "choosing the format ", format,
         ": it is that of standard output (-), and a file's ", "ending tells its own. Leave out --format");
  }
  path_ = concat("-.", format.empty() ? fallback : std::string_view(format));
}

ResultFile ResultFile::numbered(std::uint64_t number) const {
  ensure(!standard_output_, "standard output has no number");
  ResultFile file;
  file.path_ = path_.parent_path() / concat(path_.stem().string(), "_", number, path_.extension().string());
  return file;
}

void ResultFile::check_place() const {
  if (!wanted() || standard_output_) return;
  prepare_output_directory(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
  if (fs::is_directory(path_)) {
    fail(ErrorKind::usage, "writing ", path_, ": it is a folder. Name a file.");
  }
  // Some places refuse files although their permissions do not; what is not committed is gone again.
  const AtomicFile attempt(path_);
}

void ResultFile::write(std::span<const std::byte> bytes) const {
  if (!standard_output_) return write_file_atomically(path_, bytes);
  std::cout.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  std::cout.flush();
  if (!std::cout) fail(ErrorKind::io, "writing to standard output: the system refused. Check who reads it");
}

void ResultFile::write(std::string_view text) const { write(std::as_bytes(std::span(text))); }

CLI::Option* add_format_option(CLI::App& command, std::string& format,
                               const std::vector<std::string>& formats) {
  return add_choice(command, "--format", format, formats, "of what goes to standard output");
}

}  // namespace omni::tools
