#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "omni/tokenizers/shape_tokenizer_check.h"
#include "omni/tokenizers/shape_vecset.h"

namespace omni::tokenizers {

// The public shape tokenizer of Cube3D (Roblox 2025, arXiv 2503.15475), v0.1 and v0.5, from its file
// shape_tokenizer.safetensors. Every size is read off the tensors' names and shapes. Throws Error(input) for
// a file of another layout, and for a tensor with an element that is not finite.
std::unique_ptr<VecsetShapeTokenizer> import_cube3d_tokenizer(const std::filesystem::path& weights);
// Whether import_cube3d_tokenizer() would take the file, but for its values, which are not read.
CodebookSize require_fitting_cube3d_tokenizer(const std::filesystem::path& weights);
VecsetShapeConfig cube3d_tokenizer_config(const SafetensorsFile& weights);

// How this implementation agrees with outputs that the reference implementation saved.
struct Cube3dAgreement {
  struct Index {
    std::int64_t row = 0, latent = 0, expected = 0, found = 0;
    double expected_distance = 0, found_distance = 0;  // from the latent to the two codes
  };
  struct Field {
    std::int64_t row = 0, query = 0;
    double expected = 0, found = 0;
  };
  std::int64_t index_count = 0, equal_indices = 0;
  std::int64_t ties = 0;                   // other codes whose distances agree within 1e-5, relatively
  std::optional<Index> first_other_index;  // neither equal nor a tie
  std::int64_t field_count = 0;
  double largest_field_error = 0;  // absolute, of the field decoded from the expected indices
  Field largest_error_at;

  bool indices_agree() const { return equal_indices + ties == index_count; }
  bool field_agrees() const { return largest_field_error <= 1e-4; }
};

// `config`: the reference's JSON, which must name the sizes that the weights have. `expected`: `surface` [B,
// N, 6] and `queries` [B, Q, 3] as inputs, `indices` [B, L] and `logits` [B, Q] as outputs. `precision`: of
// this implementation's products, fp32 or bf16. Throws Error(io) or Error(input) naming the file and what is
// wrong with it.
Cube3dAgreement verify_cube3d_tokenizer(const std::filesystem::path& weights,
                                        const std::filesystem::path& config,
                                        const std::filesystem::path& expected,
                                        at::ScalarType precision = at::kFloat);

}  // namespace omni::tokenizers
