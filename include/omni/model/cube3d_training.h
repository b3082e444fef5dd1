#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "omni/core/weight_source.h"
#include "omni/model/cube3d_gpt.h"
#include "omni/sequence/document.h"
#include "omni/sequence/packed_sequence.h"

namespace omni::model {

// A Cube3D GPT as training sees it: a Transformer that holds the projections, too. Text and box are its inputs of features, and
// the rows of shape codes are made of the tokenizer's codebook, which is what the reference overwrites them by. A 1 stands
// beside the numbers of each code, so that the last column of the codes' projection is its bias.
//
// All of it is trained but the rows of tokens, and the biases of queries and keys where the public layout has none.

// From the publisher's weights; codebook [shape_codes, code_dimension]. Throws as Cube3dGpt.
std::unique_ptr<Transformer> trainable_cube3d(const Cube3dGptConfig& config, const WeightSource& weights,
                                              const at::Tensor& codebook);
// The same in `start` (unset, shapes), whose values come from elsewhere.
std::unique_ptr<Transformer> trainable_cube3d(const Cube3dGptConfig& config, nn::ParameterStart start,
                                              const at::Tensor& codebook);

// As Transformer::add_adapters() on one of these, but for the projection of codes with its bias, which goes on being trained
// whole: it is small, and codes have no other way in.
void add_cube3d_adapters(Transformer& trainable, const nn::LowRankConfig& config, nn::ParameterStart start);

// A file of the publisher's layout, which the reference reads as well: names, shapes and types are those of `original`, what
// it holds beside the layout is copied. `trained` has no adapters (any more). Throws Error(io).
void export_cube3d(const Cube3dGptConfig& config, const Transformer& trained, const WeightSource& original,
                   const std::filesystem::path& path);

// How a text and a shape become a training document of Cube3D: the text's features, the box, <bos> and the codes.
class Cube3dDocuments {
 public:
  // [text_rows, text_width] row by row, of a caption's tokens; of none: what stands for no caption.
  using TextFeatures = std::function<std::vector<float>(const std::vector<std::int32_t>& tokens)>;
  Cube3dDocuments(const Cube3dGptConfig& config, std::int64_t text_rows, std::int64_t codes,
                  TextFeatures text)
      : config_(config), text_rows_(text_rows), codes_(codes), text_(std::move(text)) {}

  std::int64_t length() const { return text_rows_ + (config_.box ? 1 : 0) + 1 + codes_; }
  // Of a text, which may be dropped, and a shape; without its box, zeros stand for it.
  void append(sequence::PackedSequence& sequence, const sequence::Document& document) const;

 private:
  void append_condition(sequence::PackedSequence& sequence, std::int32_t input, std::vector<float> values,
                        std::int64_t rows) const;

  Cube3dGptConfig config_;
  std::int64_t text_rows_, codes_;
  TextFeatures text_;
};

}  // namespace omni::model
