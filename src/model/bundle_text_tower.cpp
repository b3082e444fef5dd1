#include "omni/model/bundle_text_tower.h"

#include <algorithm>

#include "omni/core/content_hash.h"
#include "omni/core/error.h"
#include "omni/core/weight_source.h"
#include "omni/model/public_model.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;

constexpr const char *kTokenizer = "tokenizer.json", *kWeights = "model.safetensors";
constexpr const char* kTextInput = "text";  // as a Cube3D's is called that was grown

std::vector<TransformerConfig::FeatureInput>::const_iterator find_text_input(
    const TransformerConfig& config) {
  return std::find_if(config.features.begin(), config.features.end(),
                      [](const auto& input) { return input.name == kTextInput; });
}

std::int64_t fp32_bytes(double elements) { return static_cast<std::int64_t>(elements * sizeof(float)); }

[[noreturn]] void refuse(const fs::path& folder, const auto&... what) {
  fail(ErrorKind::input, "reading the text tower '", folder.string(), "': ", what...);
}

}  // namespace

BundleTextTower BundleTextTower::sizes(const fs::path& folder) {
  if (!is_public_folder(folder))
    fail(ErrorKind::io, "reading the text tower '", folder.string(),
         "': there is none. Name a folder that `omni import clip` or `omni import qwen3` made");
  const PublicDescription description = describe_public(folder);
  if (description.family == PublicFamily::cube3d)
    refuse(folder, "it is a Cube3D. Name the folder 'text' in it, or that of a CLIP or a Qwen3");
  const WeightSource weights(folder / kWeights);
  BundleTextTower tower;
  tower.folder_ = folder;
  if (description.family == PublicFamily::qwen3) {
    tower.width_ = description.qwen3.width;
    tower.longest_text_ = kQwen3LongestText;
    tower.bytes_ = fp32_bytes(weights.element_count());
  } else {
    ClipConfig text = description.clip;
    if (!text.text) refuse(folder, "this CLIP has no text tower");
    text.vision.reset();
    tower.width_ = text.text->width;
    tower.longest_text_ = model::longest_text(*text.text);
    tower.bytes_ = fp32_bytes(static_cast<double>(Clip::layout_in(weights, text).element_count()));
  }
  if (!fs::exists(tower.tokenizer_file()))
    refuse(folder, "it has no tokenizer.json, which reads texts. Import it anew with --tokenizer");
  return tower;
}

BundleTextTower BundleTextTower::load(const fs::path& folder) {
  sizes(folder);  // tells what is wrong before all is read
  return load(folder, content_hash(folder));
}

BundleTextTower BundleTextTower::load(const fs::path& folder, std::uint64_t fingerprint) {
  BundleTextTower tower = sizes(folder);
  tower.tower_ = open_text_tower({.weights = folder, .config = {}, .tokenizer = {}});
  tower.fingerprint_ = fingerprint;
  return tower;
}

fs::path BundleTextTower::tokenizer_file() const { return folder_ / kTokenizer; }

void BundleTextTower::save(const fs::path& folder) const {
  std::error_code error;
  fs::copy(folder_, folder, fs::copy_options::recursive, error);
  if (error)
    fail(ErrorKind::io, "copying the text tower '", folder_.string(), "' to '", folder.string(),
         "': ", error.message());
  if (tower_ != nullptr && content_hash(folder) != fingerprint_)
    fail(ErrorKind::io, "copying the text tower '", folder_.string(),
         "': its files are other ones than when it was read. Bring the former ones back");
}

at::Tensor rows_of_text(const TextTower& tower, const at::Tensor& features, std::int64_t tokens) {
  ensure(tokens <= tower.longest_text(), "a text of ", tokens, " tokens, of which the tower reads ",
         tower.longest_text());
  return features.narrow(0, tower.first_text_row(), tokens + 1);
}

std::int32_t text_input(const TransformerConfig& config) {
  const auto found = find_text_input(config);
  ensure(found != config.features.end(), "the model has no input of texts' features");
  return static_cast<std::int32_t>(found - config.features.begin());
}

bool has_text_input(const TransformerConfig& config, std::int64_t width) {
  const auto found = find_text_input(config);
  return found != config.features.end() && found->width == width;
}

TransformerConfig::FeatureInput text_input_of_width(std::int64_t width) { return {kTextInput, width}; }

}  // namespace omni::model
