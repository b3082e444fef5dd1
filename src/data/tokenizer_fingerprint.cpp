#include "omni/data/tokenizer_fingerprint.h"

#include <string>
#include <string_view>

#include "omni/core/files.h"
#include "omni/core/random.h"

namespace omni::data {
namespace {

std::uint64_t hash_file(const std::filesystem::path& path) {
  const auto bytes = read_file_bytes(path);
  return hash_string({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

std::uint64_t tokenizer_fingerprint(const std::filesystem::path& path) {
  if (path.empty()) return 0;
  if (!std::filesystem::is_directory(path)) return hash_file(path);
  return hash_combine(hash_file(path / "config.yaml"), hash_file(path / "weights.safetensors"));
}

}  // namespace omni::data
