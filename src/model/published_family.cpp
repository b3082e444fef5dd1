#include "omni/core/error.h"
#include "omni/model/cube3d_files.h"
#include "public_config.h"

namespace omni::model {

namespace fs = std::filesystem;

std::optional<PublicFamily> published_family(const fs::path& folder) {
  std::error_code unreadable;
  const auto has = [&](const char* name) { return fs::is_regular_file(folder / name, unreadable); };
  if (published_gpt(folder) != folder) return PublicFamily::cube3d;
  if (!has("config.json") || (!has("model.safetensors") && !has("model.safetensors.index.json"))) return {};
  const std::string type = PublicConfig::load(folder / "config.json").text("model_type", "");
  if (type.starts_with("qwen3")) return PublicFamily::qwen3;
  if (type.starts_with("clip")) return PublicFamily::clip;
  return {};
}

}  // namespace omni::model
