#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "omni/model/cube3d_gpt.h"
#include "omni/model/qwen3.h"
#include "omni/model/transformer.h"

namespace omni::model {

// A model as a YAML file names it (configs/model), of this program's own vocabulary and layout or of a public family.
struct ModelDescription {
  std::string family = "omni";  // omni, cube3d, qwen3
  std::int64_t context = 1024;  // tokens of a sequence, for caches and attention
  // Of family omni.
  TransformerConfig transformer;
  sequence::VocabularySizes vocabulary;
  sequence::SequenceLayout layout;
  // Of the others.
  Cube3dGptConfig cube3d;
  Qwen3Config qwen3;

  // Throws Error(io), or Error(usage) with file, line and key.
  static ModelDescription load(const std::filesystem::path& yaml);
};

// What a model takes, without one being made.
struct ModelSizes {
  struct Part {
    std::string name;
    std::int64_t parameters = 0, tensors = 0;
  };
  // Floating-point operations of one token going forward, a multiply-add counting as two.
  struct Flops {
    double linear = 0;     // through its own stream's weights
    double attention = 0;  // over a context of full length
    double head = 0;       // logits of the whole vocabulary
    double total() const { return linear + attention + head; }
  };
  struct Precision {
    std::string name;    // fp32, bf16, int8
    double weights = 0;  // bytes; int8: with a scale per row
    double cache = 0;    // bytes of keys and values of one sequence of full length
  };
  struct Training {
    std::string name;                                             // fp32, bf16: of the matrices of blocks
    double weights = 0, gradients = 0, masters = 0, moments = 0;  // bytes; moments: AdamW's two, in fp32
    double total() const { return weights + gradients + masters + moments; }
  };
  TransformerConfig transformer;
  sequence::Vocabulary vocabulary;
  std::int64_t context = 0;
  std::vector<Part> parts;  // of a public family as its files hold them
  Flops text, generated;    // a plain decoder has one kind of token: both are equal
  std::vector<Precision> sampling;
  std::vector<Training> training;  // without activations

  std::int64_t parameters() const;
  std::int64_t tensors() const;
};
// Throws Error(usage) for sizes that cannot work together.
ModelSizes model_sizes(const ModelDescription& description);
// Of a model whose parameters may have shapes alone.
ModelSizes model_sizes(const Transformer& shapes, std::int64_t context);

}  // namespace omni::model
