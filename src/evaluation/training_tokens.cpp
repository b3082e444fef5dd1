#include "training_tokens.h"

#include <limits>

#include "omni/core/random.h"

namespace omni::evaluation {
namespace {

std::uint64_t hash_codes(std::span<const std::int32_t> codes) {
  return hash_string({reinterpret_cast<const char*>(codes.data()), codes.size_bytes()});
}

data::TokenDataset open(const std::vector<std::string>& folders) {
  const std::vector<std::filesystem::path> paths(folders.begin(), folders.end());
  return data::TokenDataset::open(paths);
}

}  // namespace

TrainingTokens::TrainingTokens(const std::vector<std::string>& folders,
                               const tokenizers::TokenizerSet& tokenizers)
    : dataset_(open(folders)) {
  data::require_tokenizers(dataset_, tokenizers.format(), "the bundle");
  if (tokenizers.image() != nullptr) {
    const at::Tensor vectors = tokenizers.image()->codebook().detach().to(at::kFloat).cpu().contiguous();
    width_ = static_cast<std::size_t>(vectors.size(1));
    vectors_.assign(vectors.data_ptr<float>(), vectors.data_ptr<float>() + vectors.numel());
  }
  for (std::int64_t i = 0; i < dataset_.size(); ++i) {
    const auto [shard, object] = dataset_.at(i);
    if (shard->split(object) != data::Split::train) continue;
    if (shard->info().tokens.shape.present()) geometries_.insert(hash_codes(shard->geometry(object)));
    if (vectors_.empty() || !shard->info().tokens.image.present()) continue;
    for (std::int64_t view = 0; view < shard->info().views_per_object; ++view)
      pictures_[shard->view_bins(object, view)].push_back({i, view});
  }
}

bool TrainingTokens::has_geometry(std::span<const std::int32_t> codes) const {
  return geometries_.contains(hash_codes(codes));
}

std::optional<TrainingObject> TrainingTokens::nearest_by_picture(std::span<const std::int32_t> picture,
                                                                 const generation::View& view) const {
  const auto found = pictures_.find({generation::azimuth_bin(view), generation::elevation_bin(view)});
  if (found == pictures_.end()) return std::nullopt;
  std::int64_t nearest = -1;
  float least = std::numeric_limits<float>::max();
  for (const Picture& candidate : found->second) {
    const auto [shard, object] = dataset_.at(candidate.object);
    if (!shard->info().tokens.shape.present()) continue;
    const std::vector<std::int32_t> codes = shard->view(object, candidate.view).codes;
    float distance = 0;
    for (std::size_t place = 0; place < picture.size() && distance < least; ++place) {
      const float* a = &vectors_.at(static_cast<std::size_t>(picture[place]) * width_);
      const float* b = &vectors_.at(static_cast<std::size_t>(codes.at(place)) * width_);
      for (std::size_t i = 0; i < width_; ++i) distance += (a[i] - b[i]) * (a[i] - b[i]);
    }
    if (distance >= least) continue;
    least = distance;
    nearest = candidate.object;
  }
  if (nearest < 0) return std::nullopt;
  const auto [shard, object] = dataset_.at(nearest);
  return TrainingObject{std::string(shard->id(object)),
                        shard->info().variation,
                        {shard->geometry(object), shard->colour(object)}};
}

}  // namespace omni::evaluation
