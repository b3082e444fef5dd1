#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "omni/kernels/tensor.h"
#include "omni/model/clip.h"
#include "omni/model/qwen3.h"
#include "omni/tokenizers/text_tokenizer.h"

namespace omni::model {

// A frozen encoder of texts with its tokenizer: a model that is conditioned by features reads texts through it. Each text
// gives so many rows, short or long, what is shown of them being filled with the token of the text's end.
class TextTower {
 public:
  virtual ~TextTower() = default;

  // Null without one.
  const tokenizers::TextTokenizer* tokenizer() const { return tokenizer_.get(); }
  // The tower has none any more.
  std::unique_ptr<tokenizers::TextTokenizer> release_tokenizer() { return std::move(tokenizer_); }

  virtual std::int64_t rows() const = 0;
  virtual std::int64_t width() const = 0;
  // In tokens; of a longer text the rest is cut off.
  virtual std::int64_t longest_text() const = 0;
  // The row of a text's first token. Its other tokens follow, then its end.
  virtual std::int64_t first_text_row() const = 0;
  // What the encoder is shown of texts, tokens without what stands around them: [texts, rows] int64. Needs the tokenizer.
  virtual at::Tensor ids(const std::vector<std::vector<std::int32_t>>& texts) const = 0;
  // Of what ids() gives, [texts, rows, width] fp32 where the weights are: the last hidden states, after the final norm. From
  // any thread.
  virtual at::Tensor features(const at::Tensor& ids) const = 0;
  virtual void to(at::Device device) = 0;

 protected:
  explicit TextTower(std::unique_ptr<tokenizers::TextTokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)) {}

 private:
  std::unique_ptr<tokenizers::TextTokenizer> tokenizer_;
};

// TextTower::longest_text() of a CLIP's: all places but those of start and end.
constexpr std::int64_t longest_text(const ClipTextConfig& config) { return config.positions - 2; }

// CLIP's text tower, which the network must have: a text stands between start and end, in all of the tower's places.
std::unique_ptr<TextTower> make_text_tower(std::unique_ptr<tokenizers::TextTokenizer> tokenizer,
                                           std::unique_ptr<Clip> network);

// As many rows as CLIP's towers have, so that a condition is as long by either.
inline constexpr std::int64_t kQwen3TextRows = 77;
inline constexpr std::int64_t kQwen3LongestText = kQwen3TextRows - 1;  // its end follows
// A text is followed by its end, "<|endoftext|>" or what the tokenizer puts there. Throws Error(input) where it has neither.
std::unique_ptr<TextTower> make_text_tower(std::unique_ptr<tokenizers::TextTokenizer> tokenizer,
                                           std::unique_ptr<Qwen3> network);

}  // namespace omni::model
