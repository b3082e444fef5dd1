#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "omni/kernels/decode_format.h"
#include "omni/kernels/tensor.h"
#include "omni/model/public_layout.h"
#include "omni/model/transformer.h"

namespace omni::model {

// Sizes of a Cube3D shape GPT; the defaults are those of v0.5. Names follow its configuration.
struct Cube3dGptConfig {
  std::int64_t dual_layers = 23, single_layers = 1;
  std::int64_t heads = 12, width = 1536;
  std::int64_t shape_codes = 16384;  // then bos, eos, pad
  std::int64_t text_width = 768;
  std::int64_t code_dimension = 32;
  bool box = true;  // a condition token for the box; v0.1 has none
  double rope_theta = 10000, norm_epsilon = 1e-6;

  // Throws Error(io), or Error(input) naming the key.
  static Cube3dGptConfig load(const std::filesystem::path& json);
  // The same from memory; `name` appears in errors.
  static Cube3dGptConfig parse(std::string_view json, const std::string& name);
};
void describe(ConfigVisitor& visitor, Cube3dGptConfig& config);
// The transformer that a Cube3D GPT is, and its vocabulary: the shape codes, as range "geometry".
TransformerConfig transformer_config(const Cube3dGptConfig& config);
sequence::Vocabulary vocabulary(const Cube3dGptConfig& config);
// Of shape_gpt.safetensors.
PublicLayout public_layout(const Cube3dGptConfig& config);

// The public text-to-shape GPT of Cube3D (arXiv 2503.15475) as a configuration of Transformer, read by a
// mapping of names. Text comes as features of the CLIP ViT-L/14 text tower.
class Cube3dGpt {
 public:
  // Throws Error(input) where a tensor is missing, left over, of another shape or not finite. `mapped`: for decoding
  // in that format alone, from packed weights that are mapped (see panel_file.h); there is no logits() then.
  Cube3dGpt(const Cube3dGptConfig& config, const WeightSource& weights,
            const std::optional<kernels::DecodeFormat>& mapped = {});
  // The same on a GPU, where each tensor is put as it is read, so that the host never holds all of them. See
  // Transformer::to().
  Cube3dGpt(const Cube3dGptConfig& config, const WeightSource& weights, at::Device device,
            at::ScalarType matrix_type = at::kFloat);

  // Overwrites the rows of the shape codes by shape_proj(codebook), as the reference does before it samples.
  void set_codebook(const at::Tensor& codebook);  // [shape_codes, code_dimension]

  // The condition rows: text_features [B, S, text_width], box [B, 3] (zeros: none; a model without boxes ignores it)
  // -> [B, S + 1, width], or [B, S, width] without boxes, on the CPU.
  at::Tensor condition(const at::Tensor& text_features, const at::Tensor& box) const;
  // Logits [B, N + 1, shape_codes + 3] for bos followed by shape_codes [B, N] (int64), full context. On the model's device.
  at::Tensor logits(const at::Tensor& condition, const at::Tensor& shape_codes) const;

  struct GreedyOptions {
    std::int64_t steps = 1024;
    double guidance = 3.0;  // falls linearly to 0 over the steps
    // As the reference samples with its cache on, whose single blocks attend to the first shape token alone.
    bool reference_cache = false;
  };
  // The likeliest codes, one sequence per row, spelt out as the publication has it: what the reference is compared
  // with. unconditional [1 or B, S + 1, width]. Shapes are sampled by generation/cube3d_program.h.
  std::vector<std::vector<std::int32_t>> greedy_codes(const at::Tensor& condition,
                                                      const at::Tensor& unconditional,
                                                      const GreedyOptions& options) const;

  const Cube3dGptConfig& config() const { return config_; }
  Transformer& transformer() { return *transformer_; }
  const Transformer& transformer() const { return *transformer_; }

 private:
  void read(const WeightSource& weights, const PublicLayout& layout, at::Device device,
            at::ScalarType matrix_type = at::kFloat);

  Cube3dGptConfig config_;
  std::unique_ptr<Transformer> transformer_;
  nn::ParameterStore projections_;
};

}  // namespace omni::model
