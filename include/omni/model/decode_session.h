#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "omni/kernels/drawn_token.h"
#include "omni/kernels/token_sampling.h"
#include "omni/model/decode_precision.h"
#include "omni/model/transformer.h"
#include "omni/sequence/grammar.h"

namespace omni::model {

// A token as the transformer sees it: itself, where it stands, and where the token after it will stand (a
// GrammarWalker gives both; nothing comes after <eos>).
struct DecodeToken {
  std::int32_t token = 0;
  sequence::TokenPlace place;
  std::optional<sequence::TokenPlace> next_place;
  // [width], on the CPU: what it is embedded as in place of itself and its slots. Undefined: as itself.
  at::Tensor embedded = {};
};

// What a sequence starts with: features in place of embedded tokens (a text encoder's, say), then tokens.
struct DecodePrompt {
  at::Tensor features = {};                               // [N, width], on the CPU; undefined: none
  std::vector<sequence::TokenPlace> feature_places = {};  // N of them; slots count for nothing
  std::vector<DecodeToken> tokens = {};
};

// A choice of a sample that a GPU makes itself, since all but the tokens before it is known ahead.
struct SettledChoice {
  // To each of the sample's rows, the token chosen last. After the first choice its place alone counts: what
  // was drawn is shown.
  std::vector<DecodeToken> shown;
  sequence::AllowedTokens allowed;
  std::vector<double> guidance;        // as SamplingInput's
  kernels::SamplingSettings sampling;  // the repetition penalty has no say
  kernels::SamplingKey key;
};

// Choices of one sample that follow each other.
struct DecodeStretch {
  std::vector<std::int64_t> sequences;  // as SamplingInput::rows, ascending
  std::vector<SettledChoice> choices;
};

// Key-value caches of several sequences of one model that grow token by token. Sequences may differ in
// length. No gradients. The model must outlive the session and keep its weights meanwhile.
class DecodeSession {
 public:
  // `capacity` is the longest sequence in tokens. bf16 and int8 take a half and a quarter of the memory, and
  // of the reading, of fp32, which is exact.
  DecodeSession(const Transformer& model, std::int64_t sequence_count, std::int64_t capacity,
                const DecodePrecision& precision = {});
  ~DecodeSession();
  DecodeSession(const DecodeSession&) = delete;
  DecodeSession& operator=(const DecodeSession&) = delete;

  std::int64_t sequence_count() const;
  std::int64_t length(std::int64_t sequence) const;
  // Whether a token of each sequence may pass through the model as one plan of the GPU's kernels: at most eight
  // sequences of a model on a GPU with activations in bf16, weights and cache in bf16 or int8, no adapters, and
  // heads that have a kernel. Prompts, several tokens at once, texts beside a stream of their own and prefixes
  // that several sequences hold go layer by layer all the same. On a GPU both multiply weights in bf16, also
  // where int8 is asked for.
  bool steps_on_device() const;

  // Starts sequences, which must be empty, with prompts[i]; an empty prompt leaves sequence i as it is.
  void prefill(std::span<const DecodePrompt> prompts);

  // Appends tokens[i] to sequence i; an empty list leaves it as it is. Prefixes and single tokens may be
  // mixed. Throws Error(internal) beyond the capacity.
  void append(std::span<const std::vector<DecodeToken>> tokens);

  // The most choices that draw() makes at a time; 0 where it makes none: see steps_on_device().
  std::int64_t longest_stretch() const;
  // Shows tokens and draws those that follow, choice after choice of all samples side by side, without coming
  // back to the host in between. Samples have equally many rows and choices, one at least and
  // longest_stretch() at most; their sequences ascend. -> what was drawn, sample by sample of each choice; the
  // last is not shown to the model yet. The same tokens as append(), logits() and sample_token() give. Nothing,
  // and nothing done, for rows that no step of the GPU takes. Throws Error(internal) beyond the capacity.
  std::optional<std::vector<std::vector<kernels::DrawnToken>>> draw(std::span<const DecodeStretch> samples);

  // Logits of what follows the last token of `sequences[i]`, for the tokens of allowed[i] in ascending order
  // of id.
  std::vector<std::vector<float>> logits(std::span<const std::int64_t> sequences,
                                         std::span<const sequence::AllowedTokens> allowed) const;

  // Makes `to` a copy of `from`: a shared prompt is prefilled once.
  void copy_sequence(std::int64_t from, std::int64_t to);
  void clear_sequence(std::int64_t sequence);

 private:
  struct State;
  struct Appended;
  void append(Appended appended);

  std::unique_ptr<State> state_;
};

}  // namespace omni::model
