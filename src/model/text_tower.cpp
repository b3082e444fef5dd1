#include "omni/model/text_tower.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::model {
namespace {

using at::Tensor;
using tokenizers::TextTokenizer;

constexpr const char* kEndOfText = "<|endoftext|>";

class ClipTextTower final : public TextTower {
 public:
  ClipTextTower(std::unique_ptr<TextTokenizer> tokenizer, std::unique_ptr<Clip> network)
      : TextTower(std::move(tokenizer)), network_(std::move(network)) {
    ensure(network_->config().text.has_value(), "this CLIP has no text tower");
  }

  std::int64_t rows() const override { return config().positions; }
  std::int64_t width() const override { return config().width; }
  std::int64_t longest_text() const override { return model::longest_text(config()); }
  std::int64_t first_text_row() const override { return 1; }
  Tensor ids(const std::vector<std::vector<std::int32_t>>& texts) const override {
    return clip_prompt_ids(*tokenizer(), config(), texts);
  }
  Tensor features(const Tensor& ids) const override { return network_->text(ids).hidden.to(at::kFloat); }
  void to(at::Device device) override { network_->to(device); }

 private:
  const ClipTextConfig& config() const { return *network_->config().text; }

  std::unique_ptr<Clip> network_;
};

std::int32_t end_of_text(const TextTokenizer& tokenizer) {
  const std::vector<std::int32_t> around = tokenizer.encode("", /*with_special_tokens=*/true);
  if (!around.empty()) return around.back();
  const std::vector<std::int32_t> end = tokenizer.encode(kEndOfText);
  if (end.size() != 1)
    fail(ErrorKind::input, "reading texts with Qwen3: its tokenizer has no token ", kEndOfText,
         ", which ends a text. Give the tokenizer.json that was published with the weights");
  return end[0];
}

class Qwen3TextTower final : public TextTower {
 public:
  Qwen3TextTower(std::unique_ptr<TextTokenizer> tokenizer, std::unique_ptr<Qwen3> network)
      : TextTower(std::move(tokenizer)), network_(std::move(network)) {
    if (this->tokenizer() != nullptr) end_ = end_of_text(*this->tokenizer());
  }

  std::int64_t rows() const override { return kQwen3TextRows; }
  std::int64_t width() const override { return network_->config().width; }
  std::int64_t longest_text() const override { return kQwen3LongestText; }
  std::int64_t first_text_row() const override { return 0; }
  Tensor ids(const std::vector<std::vector<std::int32_t>>& texts) const override {
    ensure(tokenizer() != nullptr, "a text tower without a tokenizer");
    Tensor ids = at::full({static_cast<std::int64_t>(texts.size()), rows()}, std::int64_t{end_}, at::kLong);
    for (std::size_t t = 0; t < texts.size(); ++t) {
      const std::int64_t kept = std::min(static_cast<std::int64_t>(texts[t].size()), longest_text());
      std::copy_n(texts[t].begin(), kept, ids[static_cast<std::int64_t>(t)].mutable_data_ptr<std::int64_t>());
    }
    return ids;
  }
  Tensor features(const Tensor& ids) const override { return network_->hidden_states(ids); }
  void to(at::Device device) override { network_->transformer().to(device); }

 private:
  std::unique_ptr<Qwen3> network_;
  std::int32_t end_ = 0;
};

}  // namespace

std::unique_ptr<TextTower> make_text_tower(std::unique_ptr<TextTokenizer> tokenizer,
                                           std::unique_ptr<Clip> network) {
  return std::make_unique<ClipTextTower>(std::move(tokenizer), std::move(network));
}

std::unique_ptr<TextTower> make_text_tower(std::unique_ptr<TextTokenizer> tokenizer,
                                           std::unique_ptr<Qwen3> network) {
  return std::make_unique<Qwen3TextTower>(std::move(tokenizer), std::move(network));
}

}  // namespace omni::model
