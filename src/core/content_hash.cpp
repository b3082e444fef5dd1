#include "omni/core/content_hash.h"

#include "omni/core/files.h"
#include "omni/core/hash.h"
#include "omni/core/random.h"

namespace omni {

namespace fs = std::filesystem;

std::uint64_t content_hash(const fs::path& path) {
  return content_hash(path, [](const fs::path&) { return true; });
}

std::uint64_t content_hash(const fs::path& path, const std::function<bool(const fs::path&)>& counts) {
  if (!fs::is_directory(path)) return hash_file(path);
  std::uint64_t hash = 0;
  for (const fs::path& file : files_below(path)) {
    if (!counts(file)) continue;
    hash = hash_combine(hash, hash_string(file.lexically_relative(path).generic_string()));
    hash = hash_combine(hash, hash_file(file));
  }
  return hash;
}

}  // namespace omni
