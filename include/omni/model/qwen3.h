#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "omni/kernels/tensor.h"
#include "omni/model/public_layout.h"
#include "omni/model/transformer.h"

namespace omni::model {

// Sizes of a dense Qwen3 (arXiv 2505.09388); the defaults are those of Qwen3-0.6B.
struct Qwen3Config {
  std::int64_t layers = 28, heads = 16, key_value_heads = 8, head_size = 128;
  std::int64_t width = 1024, mlp_width = 3072;
  std::int64_t vocabulary = 151936;
  double rope_theta = 1e6, norm_epsilon = 1e-6;
  bool tied_embeddings = true;

  // The publisher's config.json. Throws Error(input) naming the key of what has no network here: a scaled RoPE, sliding
  // windows, biases, experts.
  static Qwen3Config load(const std::filesystem::path& json);
  // The same from memory; `name` appears in errors.
  static Qwen3Config parse(std::string_view json, const std::string& name);
};
void describe(ConfigVisitor& visitor, Qwen3Config& config);
// The transformer that a Qwen3 is, and the vocabulary whose text tokens are its.
TransformerConfig transformer_config(const Qwen3Config& config);
sequence::Vocabulary vocabulary(const Qwen3Config& config);
// `prefix`: "model." in files of a language model, "" in those of an encoder alone.
PublicLayout public_layout(const Qwen3Config& config, const std::string& prefix = "model.");

// A public Qwen3 as a configuration of Transformer, read by a mapping of names.
class Qwen3 {
 public:
  // Throws Error(input) where a tensor is missing, left over, of another shape or not finite.
  Qwen3(const Qwen3Config& config, const WeightSource& weights);

  // ids [B, N] int64, each below the vocabulary, else Error(input).
  at::Tensor hidden_states(const at::Tensor& ids) const;  // [B, N, width], after the last norm
  at::Tensor logits(const at::Tensor& ids) const;         // [B, N, vocabulary]
  // The `steps` most probable tokens after each row, one by one, with a key-value cache: [B, steps] int64.
  at::Tensor continue_greedily(const at::Tensor& ids, std::int64_t steps) const;

  const Qwen3Config& config() const { return config_; }
  Transformer& transformer() { return *transformer_; }

 private:
  at::Tensor token_rows(const at::Tensor& ids) const;  // [B * N, width]
  at::Tensor token_logits(const at::Tensor& hidden) const;
  Qwen3Config config_;
  std::unique_ptr<Transformer> transformer_;
};

// The layout that these weights are in; see public_layout.
PublicLayout layout_in(const WeightSource& weights, const Qwen3Config& config);

}  // namespace omni::model
