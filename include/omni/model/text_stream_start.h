#pragma once

#include <cstdint>
#include <memory>

#include "omni/model/bundle.h"
#include "omni/model/model_sizes.h"
#include "omni/model/public_model.h"

namespace omni::model {

// What of a bundle does not come from the language model.
struct TextStreamStart {
  std::unique_ptr<tokenizers::ImageTokenizer> image;  // null: no pictures
  std::unique_ptr<tokenizers::ShapeTokenizer> shape;  // null: no shapes
  std::uint64_t seed = 1;                             // of what starts as in a fresh model
};

// A bundle whose texts are the tokens of a Qwen3 (a publisher's files, or a folder that was imported) and whose text stream
// computes what that Qwen3 does: of a plain decoder all blocks start from its weights, of one with two streams the text
// stream's share of the dual blocks; then the rows of the text tokens and, where texts have an output, the last norm. The rows
// of a text's slots are zero. All else starts as in a fresh model. Nothing is trained yet: notes["stage"] is "init".
//
// Of a description of family omni the transformer and the text capacity count; sizes of vocabularies are the tokenizers', and
// what the description says of them must agree. Of family qwen3 the transformer is a Qwen3 of those sizes.
//
// Throws Error(usage) naming the key, the Qwen3's value and the description's where they differ, and Error(input) for weights
// that are not those of the Qwen3's layout, or where it has no tokenizer.
Bundle start_text_stream(const ModelDescription& description, const PublicFiles& qwen3,
                         TextStreamStart start);

}  // namespace omni::model
