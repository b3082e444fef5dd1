#include "omni/tokenizers/tokenizer_set.h"

#include "omni/core/error.h"
#include "omni/tokenizers/stored_tokenizer.h"

namespace omni::tokenizers {
namespace {

TextTokens text_tokens(const TextTokenizer& text) {
  return {.vocabulary = text.vocabulary_size(), .tokenizer = text.fingerprint()};
}

ImageTokens image_tokens(const ImageTokenizer& image, std::uint64_t fingerprint) {
  return {.vocabulary = static_cast<std::int32_t>(image.config().codebook_size),
          .grid_side = image.grid_size(),
          .tokenizer = fingerprint};
}

ShapeTokens shape_tokens(const ShapeTokenizer& shape, std::uint64_t fingerprint) {
  ShapeTokens tokens{.geometry_vocabulary = static_cast<std::int32_t>(shape.geometry_vocabulary()),
                     .geometry_lengths = shape.offered_lengths(),
                     .geometry_grid_side = shape.geometry_grid_side(),
                     .colour_codes = shape.colour_code_count(),
                     .colour_grid_side = shape.colour_grid_side(),
                     .tokenizer = fingerprint};
  if (tokens.colour_codes > 0)
    tokens.colour_vocabulary = static_cast<std::int32_t>(shape.colour_vocabulary());
  return tokens;
}

template <class Load>
auto load_as(const char* kind, const std::string& path, Load load) {
  try {
    return load();
  } catch (const Error& error) {
    throw Error(error.kind(), concat("loading the ", kind, " tokenizer '", path, "': ", error.what()));
  }
}

// `config`: in place of the tokenizer's own, unless it is empty.
template <class Tokenizer>
void save_with_config(const Tokenizer& tokenizer, const std::string& config, const std::string& folder) {
  StoredTokenizer stored = tokenizer.stored();
  if (!config.empty()) stored.config = config;
  write_tokenizer_folder(folder, stored);
}

}  // namespace

TokenizerPaths TokenizerPaths::inside(const std::filesystem::path& folder) {
  return {.text = folder / "text_tokenizer.json",
          .image = folder / "image_tokenizer",
          .shape = folder / "shape_tokenizer"};
}

void describe(ConfigVisitor& visitor, TokenizerPaths& paths) {
  visitor.text("text", paths.text);
  visitor.text("image", paths.image);
  visitor.text("shape", paths.shape);
}

TokenizerSet::TokenizerSet(std::unique_ptr<TextTokenizer> text, std::unique_ptr<ImageTokenizer> image,
                           std::unique_ptr<ShapeTokenizer> shape)
    : text_(std::move(text)), image_(std::move(image)), shape_(std::move(shape)) {
  if (text_) format_.text = text_tokens(*text_);
  if (image_) format_.image = image_tokens(*image_, fingerprint(image_->stored()));
  if (shape_) format_.shape = shape_tokens(*shape_, fingerprint(shape_->stored()));
}

TokenizerSet TokenizerSet::load(const TokenizerPaths& paths) {
  TokenizerSet set;
  if (!paths.text.empty()) {
    set.text_ = load_as("text", paths.text,
                        [&] { return std::make_unique<TextTokenizer>(TextTokenizer::load(paths.text)); });
    set.format_.text = text_tokens(*set.text_);
  }
  if (!paths.image.empty()) {
    set.image_ = load_as("image", paths.image, [&] { return ImageTokenizer::load(paths.image); });
    set.image_config_ = read_tokenizer_config(paths.image);
    set.format_.image = image_tokens(*set.image_, folder_fingerprint(paths.image));
  }
  if (!paths.shape.empty()) {
    set.shape_ = load_as("shape", paths.shape, [&] { return load_shape_tokenizer(paths.shape); });
    set.shape_config_ = read_tokenizer_config(paths.shape);
    set.format_.shape = shape_tokens(*set.shape_, folder_fingerprint(paths.shape));
  }
  return set;
}

void TokenizerSet::save(const std::filesystem::path& folder) const {
  const TokenizerPaths paths = TokenizerPaths::inside(folder);
  if (text_) text_->save(paths.text);
  if (image_) save_with_config(*image_, image_config_, paths.image);
  if (shape_) save_with_config(*shape_, shape_config_, paths.shape);
}

}  // namespace omni::tokenizers
