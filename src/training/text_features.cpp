#include "text_features.h"

#include <ATen/core/grad_mode.h>

#include <optional>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/hash.h"
#include "omni/core/random.h"
#include "omni/core/text_format.h"
#include "omni/nn/parameters.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

constexpr const char *kIds = "ids", *kFeatures = "features";

// What was kept of these ids; nothing where it is not there, damaged or of other ones.
std::optional<std::vector<float>> kept(const fs::path& path, const at::Tensor& ids,
                                       const std::vector<std::int64_t>& shape) {
  if (!fs::exists(path)) return {};
  try {
    const SafetensorsFile file(path);
    const TensorView& features = file.at(kFeatures);
    if (features.shape != shape || features.dtype != DType::f32 || !nn::to_tensor(file.at(kIds)).equal(ids))
      return {};
    return features.to_vector<float>();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    return {};  // it is made again
  }
}

}  // namespace

std::vector<float> TextFeatures::of(const std::vector<std::int32_t>& tokens) const {
  const c10::NoGradGuard no_grad;
  const at::Tensor ids = tower_->ids({tokens});
  std::uint64_t hash = hash_string("text features");
  for (std::int64_t i = 0; i < ids.numel(); ++i)
    hash = hash_combine(hash, static_cast<std::uint64_t>(ids.const_data_ptr<std::int64_t>()[i]));
  const fs::path path = folder_ / (hexadecimal(hash) + ".safetensors");
  if (auto known = kept(path, ids, {rows(), width()})) return std::move(*known);
  const at::Tensor features = tower_->features(ids)[0].contiguous();
  fs::create_directories(folder_);
  nn::write_tensors(path, {{kIds, ids}, {kFeatures, features}});
  const float* first = features.const_data_ptr<float>();
  return {first, first + features.numel()};
}

fs::path text_features_folder(const fs::path& output, std::uint64_t tower) {
  return output / "text_features" / hexadecimal(tower);
}

sequence::ConditionFeatures condition_features(const model::BundleTextTower& tower,
                                               const model::TransformerConfig& config,
                                               const fs::path& output) {
  const std::int32_t input = model::text_input(config);
  const auto width = static_cast<std::size_t>(tower.width());
  if (tower.tower() == nullptr)
    return {input, [width](const std::vector<std::int32_t>& tokens) {
              return std::vector<float>((tokens.size() + 1) * width);
            }};
  const auto features =
      std::make_shared<const TextFeatures>(tower.tower(), text_features_folder(output, tower.fingerprint()));
  return {input, [features, width, network = tower.tower()](const std::vector<std::int32_t>& tokens) {
            std::vector<float> all = features->of(tokens);
            const at::Tensor rows = model::rows_of_text(
                *network, at::from_blob(all.data(), {network->rows(), network->width()}, at::kFloat),
                static_cast<std::int64_t>(tokens.size()));
            const float* first = rows.const_data_ptr<float>();
            return std::vector<float>(first, first + (tokens.size() + 1) * width);
          }};
}

}  // namespace omni::training
