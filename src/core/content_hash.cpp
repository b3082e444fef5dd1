#include "omni/core/content_hash.h"

#include <xxhash.h>

#include <fstream>
#include <memory>
#include <vector>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/random.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

std::uint64_t hash_file(const fs::path& path) {
  const std::unique_ptr<XXH64_state_t, decltype(&XXH64_freeState)> state(XXH64_createState(),
                                                                         XXH64_freeState);
  XXH64_reset(state.get(), 0);
  std::ifstream file(path, std::ios::binary);
  std::vector<char> piece(std::size_t{1} << 20);
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    XXH64_update(state.get(), piece.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof())
    fail(ErrorKind::io, "cannot read '", path.string(), "'. Check the path and its permissions");
  return XXH64_digest(state.get());
}

}  // namespace

std::uint64_t content_hash(const fs::path& path) {
  if (!fs::is_directory(path)) return hash_file(path);
  std::uint64_t hash = 0;
  for (const fs::path& file : files_below(path)) {
    hash = hash_combine(hash, hash_string(file.lexically_relative(path).generic_string()));
    hash = hash_combine(hash, hash_file(file));
  }
  return hash;
}

}  // namespace omni
