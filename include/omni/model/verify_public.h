#pragma once

#include <filesystem>

#include "omni/model/agreement.h"
#include "omni/model/public_model.h"

namespace omni::model {

// Public models beside the outputs that their reference implementations saved. All throw Error(io), or Error(input) naming
// the file and what is wrong with it.

struct ReferenceCase {
  std::filesystem::path weights;   // see WeightSource
  std::filesystem::path config;    // the publisher's JSON
  std::filesystem::path expected;  // a safetensors file of inputs and outputs
};

// `expected`: `text_embed` and `uncond_text_embed` [B, S, text_width], `bbox` [B, 3] and `shape_ids` [B, N]; of the
// reference `teacher_forced_logits` [B, N + 1, shape_codes + 3] and `greedy_ids_full_context` [B, steps].
struct Cube3dComparison {
  // Compares `greedy_ids_reference_cached` instead: how the reference samples with its cache on.
  bool reference_cache = false;
  // With weights: the text tower's features of no text are compared with `uncond_text_embed`, and where the file's
  // metadata `prompts` is a JSON list of B texts, those of each with `text_embed`.
  PublicFiles text;
};
Agreement verify_cube3d(const ReferenceCase& given, const Cube3dComparison& comparison = {});

// `expected`: `input_ids` [B, N] and `pixel_values` [B, channels, side, side]; of the reference
// `text_last_hidden_state`, `text_pooler_output`, `text_embeds`, `vision_last_hidden_state`, `vision_pooler_output`,
// `image_embeds`. What the config has no tower for is not asked for.
// With a `tokenizer` (tokenizer.json) its ids are compared, too, special tokens and all: the file's metadata `texts` is a
// JSON list of texts, `text_ids` [texts, longest] holds their ids and -1 behind them.
Agreement verify_clip(const ReferenceCase& given, const std::filesystem::path& tokenizer = {});

// `expected`: `input_ids` [B, N]; of the reference `logits` [B, N, vocabulary] and `greedy_ids` [B, steps], which follow
// all N. `tokenizer` as above.
Agreement verify_qwen3(const ReferenceCase& given, const std::filesystem::path& tokenizer = {});

}  // namespace omni::model
