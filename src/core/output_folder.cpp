#include "omni/core/output_folder.h"

#include <algorithm>
#include <system_error>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/name_pattern.h"

namespace omni {

namespace fs = std::filesystem;

void require_only_written(const fs::path& folder, std::string_view marker,
                          const std::function<bool(const std::string& name)>& written) {
  require_replaceable(folder, marker);
  if (!fs::is_directory(folder)) return;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory() && !entry.is_symlink() && !fs::is_empty(entry.path())) continue;
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    if (!written(name))
      fail(
          ErrorKind::usage, "cannot write the folder '", folder.string(), "': it holds '", name,
          "', which no earlier run has left and which would be lost. Choose another folder, or move that away");
  }
}

void require_only_written(const fs::path& folder, std::string_view marker,
                          std::span<const std::string_view> patterns) {
  require_only_written(folder, marker, [&](const std::string& name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](std::string_view pattern) { return matches_pattern(pattern, name); });
  });
}

void require_outside(const fs::path& source, const fs::path& folder) {
  std::error_code error;
  const fs::path inner = fs::weakly_canonical(fs::absolute(source), error);
  if (error) return;  // whoever reads it says why
  fs::path outer = fs::weakly_canonical(fs::absolute(folder), error);
  if (error) return;
  if (outer.filename().empty()) outer = outer.parent_path();
  const auto [end, unused] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  if (end == outer.end())
    fail(ErrorKind::usage, "cannot write the folder '", folder.string(), "': '", source.string(),
         "', from which it is made, lies in it and would be lost. Choose another folder");
}

}  // namespace omni
