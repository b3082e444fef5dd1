#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "omni/kernels/tensor.h"
#include "omni/model/text_tower.h"
#include "omni/model/transformer.h"

namespace omni::model {

// The frozen text tower of a bundle that is shown its features of texts that are conditions, in place of their tokens, which
// are those of the tower's tokenizer. A text takes the same places either way: its tokens' and its end's, where </text> stands.
class BundleTextTower {
 public:
  // Of a folder that `omni import clip` or `omni import qwen3` made. Throws Error(io) where there is none, Error(input) for one
  // that is damaged, of another family, or without a tokenizer.
  static BundleTextTower load(const std::filesystem::path& folder);
  // Of a folder whose content is known to have that fingerprint, so that it is read once. Throws likewise.
  static BundleTextTower load(const std::filesystem::path& folder, std::uint64_t fingerprint);
  // Its sizes alone, for estimates: no weights are read, and there is no tower(). Throws likewise.
  static BundleTextTower sizes(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path tokenizer_file() const;
  std::int64_t width() const { return width_; }
  std::int64_t longest_text() const { return longest_text_; }  // in tokens
  std::int64_t bytes() const { return bytes_; }                // of its weights, fp32
  const std::shared_ptr<const TextTower>& tower() const { return tower_; }
  std::uint64_t fingerprint() const { return fingerprint_; }  // of the folder's content; 0 of sizes alone

  // A copy of the folder. Throws Error(io), also where its content is another than was loaded.
  void save(const std::filesystem::path& folder) const;

 private:
  std::filesystem::path folder_;
  std::int64_t width_ = 0, longest_text_ = 0, bytes_ = 0;
  std::shared_ptr<const TextTower> tower_;
  std::uint64_t fingerprint_ = 0;
};

// Of a text of so many tokens, among all of the tower's rows of it: [rows, width] -> [tokens + 1, width].
at::Tensor rows_of_text(const TextTower& tower, const at::Tensor& features, std::int64_t tokens);

// The transformer's input of texts, which it must have.
std::int32_t text_input(const TransformerConfig& config);
// The same where it may have none, or one of another width: whether it has it.
bool has_text_input(const TransformerConfig& config, std::int64_t width);
TransformerConfig::FeatureInput text_input_of_width(std::int64_t width);

}  // namespace omni::model
