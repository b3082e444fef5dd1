#pragma once

#include <functional>

#include "omni/core/config.h"
#include "omni/nn/parameters.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::tokenizers {

// What both layouts share: the folder on disk and the checks on codes.

inline constexpr geometry::Vec3 kUncolouredSurface{0.8f, 0.8f, 0.8f};  // sRGB

// The config is `layout` and a section of that name.
StoredTokenizer stored_shape(const std::string& layout,
                             const std::function<void(ConfigVisitor&)>& description,
                             const nn::ParameterStore& parameters, bool half_precision);

// Calls `decode` on neighbouring shapes that have the same number of geometry codes, at most `batch` at a
// time.
void for_equal_lengths(std::span<const ShapeCodes> codes, std::size_t batch,
                       const std::function<void(std::span<const ShapeCodes>)>& decode);
// The shape's number of geometry codes if the tokenizer offers it; else the full length, at which
// code_tensor() tells what is wrong.
std::int64_t offered_length(const ShapeCodes& codes, const ShapeTokenizer& tokenizer);

// [B, length] int64. Throws Error(usage) for another length or a code outside the vocabulary.
at::Tensor code_tensor(std::span<const ShapeCodes> codes, std::vector<std::int32_t> ShapeCodes::*member,
                       std::int64_t length, std::int64_t vocabulary, const char* what);

// Row `row` of an index tensor as codes.
std::vector<std::int32_t> code_row(const at::Tensor& indices, std::int64_t row);

}  // namespace omni::tokenizers
