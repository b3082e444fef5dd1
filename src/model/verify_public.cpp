#include "omni/model/verify_public.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "expected_outputs.h"
#include "omni/core/error.h"
#include "omni/core/json_text.h"

namespace omni::model {
namespace {

using at::Tensor;

// A JSON list of texts in the file's metadata; nothing where there is no such key.
std::optional<std::vector<std::string>> texts_in(const ExpectedOutputs& outputs, const std::string& key) {
  const auto found = outputs.metadata().find(key);
  if (found == outputs.metadata().end()) return {};
  const auto list = parse_json_or_discard(found->second);
  const auto is_text = [](const nlohmann::json& text) { return text.is_string(); };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_text))
    fail(ErrorKind::input, "reading '", outputs.name(), "': the metadata '", key, "' is no list of texts");
  std::vector<std::string> texts;
  for (const auto& text : list) texts.push_back(text.get<std::string>());
  return texts;
}

void compare_tokenisation(const std::filesystem::path& tokenizer, const ExpectedOutputs& outputs,
                          Agreement& agreement) {
  if (tokenizer.empty()) return;
  const auto ours = tokenizers::TextTokenizer::load(tokenizer);
  const auto texts = texts_in(outputs, "texts");
  if (!texts)
    fail(ErrorKind::input, "reading '", outputs.name(),
         "': it has no metadata 'texts' to compare the tokens of");
  const auto count = static_cast<std::int64_t>(texts->size());
  const Tensor expected = outputs.integers("text_ids", {count, -1});
  // As wide as the longer of the two.
  std::vector<std::vector<std::int32_t>> ids;
  std::int64_t width = expected.size(1);
  for (const std::string& text : *texts) {
    ids.push_back(ours.encode(text, /*with_special_tokens=*/true));
    width = std::max(width, static_cast<std::int64_t>(ids.back().size()));
  }
  Tensor mine = at::full({count, width}, std::int64_t{-1}, at::kLong);
  for (std::int64_t t = 0; t < count; ++t)
    std::copy(ids[t].begin(), ids[t].end(), mine[t].mutable_data_ptr<std::int64_t>());
  agreement.compare_sequences("text_ids", mine,
                              at::constant_pad_nd(expected, {0, width - expected.size(1)}, -1));
}

void compare_prompts(const PublicFiles& files, const Tensor& text, const Tensor& no_text,
                     const ExpectedOutputs& outputs, Agreement& agreement) {
  const std::unique_ptr<TextTower> tower = open_text_tower(files);
  if (tower->tokenizer() == nullptr)
    fail(ErrorKind::input, "there is no tokenizer.json beside '", files.weights.string(),
         "' to read prompts with");
  const auto features = [&](const std::vector<std::string>& prompts) {
    std::vector<std::vector<std::int32_t>> tokens;
    for (const std::string& prompt : prompts) tokens.push_back(tower->tokenizer()->encode(prompt));
    return tower->features(tower->ids(tokens));
  };
  agreement.compare_values("uncond_text_embed", features({""}).expand({no_text.size(0), -1, -1}), no_text);
  if (const auto prompts = texts_in(outputs, "prompts"); prompts && !prompts->empty())
    agreement.compare_values("text_embed", features(*prompts), text);
}

Tensor sampled_codes(const Cube3dGpt& gpt, const Tensor& condition, const Tensor& unconditional,
                     std::int64_t steps, bool reference_cache) {
  const auto codes =
      gpt.greedy_codes(condition, unconditional, {.steps = steps, .reference_cache = reference_cache});
  Tensor sampled = at::empty({condition.size(0), steps}, at::kLong);
  for (std::int64_t b = 0; b < sampled.size(0); ++b)
    std::copy(codes[b].begin(), codes[b].end(), sampled[b].mutable_data_ptr<std::int64_t>());
  return sampled;
}

}  // namespace

Agreement verify_cube3d(const ReferenceCase& given, const Cube3dComparison& comparison) {
  const c10::NoGradGuard guard;
  const Cube3dGpt gpt(Cube3dGptConfig::load(given.config), WeightSource(given.weights));
  const Cube3dGptConfig& c = gpt.config();
  const ExpectedOutputs outputs(given.expected);
  const Tensor text = outputs.reals("text_embed", {-1, -1, c.text_width});
  const std::int64_t batch = text.size(0);
  const Tensor no_text = outputs.reals("uncond_text_embed", {batch, text.size(1), c.text_width});
  const Tensor box = c.box ? outputs.reals("bbox", {batch, 3}) : at::zeros({batch, 3});
  const Tensor codes = outputs.ids("shape_ids", {batch, -1}, c.shape_codes);
  Agreement agreement;
  if (!comparison.text.weights.empty()) compare_prompts(comparison.text, text, no_text, outputs, agreement);
  const Tensor condition = gpt.condition(text, box);
  agreement.compare_values("teacher_forced_logits", gpt.logits(condition, codes),
                           outputs.reals("teacher_forced_logits", {batch, codes.size(1) + 1, -1}));
  const std::string name =
      comparison.reference_cache ? "greedy_ids_reference_cached" : "greedy_ids_full_context";
  const Tensor greedy = outputs.integers(name, {batch, -1});
  agreement.compare_sequences(name,
                              sampled_codes(gpt, condition, gpt.condition(no_text, at::zeros_like(box)),
                                            greedy.size(1), comparison.reference_cache),
                              greedy);
  return agreement;
}

Agreement verify_clip(const ReferenceCase& given, const std::filesystem::path& tokenizer) {
  const WeightSource source(given.weights);
  const Clip clip(ClipConfig::load(given.config, source), source);
  const ExpectedOutputs outputs(given.expected);
  Agreement agreement;
  const auto compare = [&](const std::string& name, const Tensor& found) {
    const std::vector<std::int64_t> any(static_cast<std::size_t>(found.dim()), -1);
    agreement.compare_values(name, found, outputs.reals(name, any));
  };
  const auto compare_tower = [&](const std::string& tower, const std::string& embedding,
                                 const Clip::Features& found) {
    compare(tower + "_last_hidden_state", found.hidden);
    compare(tower + "_pooler_output", found.pooled);
    if (found.embedding.defined()) compare(embedding, found.embedding);
  };
  if (clip.config().text)
    compare_tower("text", "text_embeds",
                  clip.text(outputs.ids("input_ids", {-1, -1}, clip.config().text->vocabulary)));
  if (const auto& vision = clip.config().vision)
    compare_tower("vision", "image_embeds",
                  clip.image(outputs.reals("pixel_values",
                                           {-1, vision->channels, vision->image_size, vision->image_size})));
  compare_tokenisation(tokenizer, outputs, agreement);
  return agreement;
}

Agreement verify_qwen3(const ReferenceCase& given, const std::filesystem::path& tokenizer) {
  const Qwen3 model(Qwen3Config::load(given.config), WeightSource(given.weights));
  const ExpectedOutputs outputs(given.expected);
  const Tensor ids = outputs.ids("input_ids", {-1, -1}, model.config().vocabulary);
  Agreement agreement;
  agreement.compare_values("logits", model.logits(ids),
                           outputs.reals("logits", {ids.size(0), ids.size(1), -1}));
  const Tensor greedy = outputs.integers("greedy_ids", {ids.size(0), -1});
  agreement.compare_sequences("greedy_ids", model.continue_greedily(ids, greedy.size(1)), greedy);
  compare_tokenisation(tokenizer, outputs, agreement);
  return agreement;
}

}  // namespace omni::model
