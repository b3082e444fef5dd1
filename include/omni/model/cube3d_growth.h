#pragma once

#include <cstdint>
#include <memory>

#include "omni/model/bundle.h"
#include "omni/model/public_model.h"
#include "omni/tokenizers/image_tokenizer.h"

namespace omni::model {

struct Cube3dGrowth {
  std::int64_t text_capacity = 0;  // longest text in tokens; 0: as the GPT's text tower reads, CLIP 75
  std::uint64_t seed = 1;          // of the new rows
};

// A bundle of texts, pictures and shapes that begins as a public Cube3D: all weights of its GPT, which has inputs of features
// for CLIP's texts and for the box as before, with this program's vocabulary. Tokens of texts are those of the GPT's CLIP,
// shapes those of its tokenizer, pictures those of `image`. Old logits stay equal: a row for <bos>, <eos>, <pad> and each
// shape code gives what it gave. Rows of all other tokens, and the projection of the pictures' codebook, start as those of a
// fresh model do. Nothing is trained yet: notes["stage"] is "init".
//
// Throws Error(input) where a tokenizer is missing or does not fit the GPT, or its weights are not those of its layout, and
// Error(usage) for a text capacity beyond what the text tower reads: no stage could show it such texts.
Bundle grow_cube3d(const Cube3dFiles& files, std::unique_ptr<tokenizers::ImageTokenizer> image,
                   const Cube3dGrowth& options = {});

}  // namespace omni::model
