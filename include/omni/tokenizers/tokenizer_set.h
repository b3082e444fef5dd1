#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "omni/core/config.h"
#include "omni/tokenizers/image_tokenizer.h"
#include "omni/tokenizers/shape_tokenizer.h"
#include "omni/tokenizers/text_tokenizer.h"
#include "omni/tokenizers/token_format.h"

namespace omni::tokenizers {

// Where the tokenizers of a set stand: a tokenizer.json and two folders. An empty path: that modality is
// absent.
struct TokenizerPaths {
  std::string text, image, shape;

  // The three under their standard names in a folder, whether they exist or not: as TokenizerSet::save leaves
  // them.
  static TokenizerPaths inside(const std::filesystem::path& folder);
  bool empty() const { return text.empty() && image.empty() && shape.empty(); }
};
void describe(ConfigVisitor& visitor, TokenizerPaths& paths);  // the keys text, image and shape

// The tokenizers that belong together, any of which may be absent, and what their tokens are. Owns them;
// movable.
class TokenizerSet {
 public:
  TokenizerSet() = default;  // of no modality
  // Made in memory; null: absent. Their weights stay as they are from here on.
  TokenizerSet(std::unique_ptr<TextTokenizer> text, std::unique_ptr<ImageTokenizer> image,
               std::unique_ptr<ShapeTokenizer> shape);
  // Throws Error(io) for a missing file, Error(input) for one that is damaged or a tokenizer of another kind;
  // it says which tokenizer was to be read.
  static TokenizerSet load(const TokenizerPaths& paths);
  // Writes those that are present to TokenizerPaths::inside(folder), which exists. A set that is loaded from
  // there has the same format(). Throws Error(io).
  void save(const std::filesystem::path& folder) const;

  // Null: absent.
  const TextTokenizer* text() const { return text_.get(); }
  const ImageTokenizer* image() const { return image_.get(); }
  const ShapeTokenizer* shape() const { return shape_.get(); }
  ShapeTokenizer* shape() { return shape_.get(); }  // for compute_in()

  const TokenFormat& format() const { return format_; }

 private:
  std::unique_ptr<TextTokenizer> text_;
  std::unique_ptr<ImageTokenizer> image_;
  std::unique_ptr<ShapeTokenizer> shape_;
  // config.yaml as it was loaded: written again byte for byte, for other bytes were another tokenizer.
  std::string image_config_, shape_config_;
  TokenFormat format_;
};

}  // namespace omni::tokenizers
