#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/kernels/tensor.h"
#include "omni/model/public_layout.h"
#include "omni/tokenizers/text_tokenizer.h"

namespace omni::model {

// Sizes of a CLIP (Radford et al. 2021, arXiv 2103.00020); the defaults are those of ViT-L/14.
struct ClipTowerConfig {
  std::int64_t width = 768, mlp_width = 3072, layers = 12, heads = 12;
  std::string activation = "quick_gelu";  // quick_gelu: x sigmoid(1.702 x); gelu: exact
  double norm_epsilon = 1e-5;
  std::int64_t projection =
      768;  // width of the space that both towers share; 0: the file has no projection to it
};
struct ClipTextConfig : ClipTowerConfig {
  std::int64_t vocabulary = 49408, positions = 77;
  // Where a text is pooled: at the first of these tokens; 2 stands for the token of the largest id, as in files of old.
  std::int64_t end_token = 49407;
};
struct ClipVisionConfig : ClipTowerConfig {
  std::int64_t channels = 3, image_size = 224, patch_size = 14;

  std::int64_t side() const { return image_size / patch_size; }  // patches
};
struct ClipConfig {
  std::optional<ClipTextConfig> text;
  std::optional<ClipVisionConfig> vision;

  // The publisher's config.json, of both towers or of one; `weights` tell whether there are projections. Throws
  // Error(input) naming the key of what has no network here.
  static ClipConfig load(const std::filesystem::path& json, const WeightSource& weights);
};
void describe(ConfigVisitor& visitor, ClipConfig& config);
// Whether sizes that describe() read fit together. Throws Error(input) naming the file `name` and the key.
void require_valid(const ClipConfig& config, const std::string& name);
// The text and vision towers of a CLIP, either of which may be absent. fp32.
class Clip {
 public:
  // Throws Error(input) where a tensor is missing, left over, of another shape or not finite.
  Clip(const ClipConfig& config, const WeightSource& weights);
  ~Clip();
  // Of the towers that the config has, as these weights name them; they may hold the other one, too.
  static PublicLayout layout_in(const WeightSource& weights, const ClipConfig& config);

  struct Features {
    at::Tensor hidden;     // [B, N, width]: of every row after the last block; of text with the final norm
    at::Tensor pooled;     // [B, width], normed: of a text's end, of a picture's class token
    at::Tensor embedding;  // [B, projection], undefined without one
  };
  // ids [B, N] int64, N at most `positions`; features are where the weights are. Throws Error(input) for an id outside the
  // vocabulary.
  Features text(const at::Tensor& ids) const;
  // pixels [B, channels, image_size, image_size], normalised as the publisher says.
  Features image(const at::Tensor& pixels) const;

  void to(at::Device device);
  const ClipConfig& config() const { return config_; }
  const nn::ParameterStore& parameters() const;

 private:
  struct Network;
  ClipConfig config_;
  std::unique_ptr<Network> network_;
};

// What the text tower is given for each text: [texts, positions] int64, with start and end, cut off before the end where
// they are too long, and filled with the end.
at::Tensor clip_prompt_ids(const tokenizers::TextTokenizer& tokenizer, const ClipTextConfig& config,
                           const std::vector<std::string>& texts);
// The same of texts that are tokens already, without start and end.
at::Tensor clip_prompt_ids(const tokenizers::TextTokenizer& tokenizer, const ClipTextConfig& config,
                           const std::vector<std::vector<std::int32_t>>& texts);

}  // namespace omni::model
