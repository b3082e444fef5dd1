#include "omni/tokenizers/text_tokenizer.h"

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/random.h"
#include "text_pipeline.h"

namespace omni::tokenizers {

struct TextTokenizer::State {
  TextPipeline pipeline;
  std::string json;
};

TextTokenizer::TextTokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
TextTokenizer::~TextTokenizer() = default;
TextTokenizer::TextTokenizer(TextTokenizer&&) noexcept = default;
TextTokenizer& TextTokenizer::operator=(TextTokenizer&&) noexcept = default;

TextTokenizer TextTokenizer::parse(std::string json, const std::string& name) {
  auto state = std::make_unique<State>();
  state->pipeline = parse_tokenizer_json(json, name);
  state->json = std::move(json);
  return TextTokenizer(std::move(state));
}

TextTokenizer TextTokenizer::from_merges(const std::vector<std::pair<std::string, std::string>>& merges) {
  return parse(make_tokenizer_json(merges), "made from merges");
}

TextTokenizer TextTokenizer::load(const std::filesystem::path& path) {
  constexpr std::uint64_t limit_bytes = std::uint64_t{256} << 20;
  return parse(read_file_text(path, limit_bytes), path.string());
}

void TextTokenizer::save(const std::filesystem::path& path) const {
  write_file_atomically(path, std::string_view(state_->json));
}

std::uint64_t TextTokenizer::fingerprint() const { return hash_string(state_->json); }

std::vector<std::int32_t> TextTokenizer::encode(std::string_view text, bool with_special_tokens) const {
  const TextPipeline& pipeline = state_->pipeline;
  std::vector<std::int32_t> out;
  if (with_special_tokens) out = pipeline.prefix;
  const auto on_token = [&](std::int32_t id) { out.push_back(id); };
  const auto on_normalised_text = [&](std::string_view piece) {
    for (const std::string& word : pipeline.pre_tokeniser(piece)) pipeline.model.encode_word(word, out);
  };
  const auto on_raw_text = [&](std::string_view piece) {
    if (pipeline.normaliser.empty()) {
      pipeline.normalised_tokens.split(piece, on_normalised_text, on_token);
    } else {
      pipeline.normalised_tokens.split(pipeline.normaliser(piece), on_normalised_text, on_token);
    }
  };
  pipeline.raw_tokens.split(text, on_raw_text, on_token);
  if (with_special_tokens) out.insert(out.end(), pipeline.suffix.begin(), pipeline.suffix.end());
  return out;
}

std::string TextTokenizer::decode(std::span<const std::int32_t> tokens, bool skip_special_tokens) const {
  const TextPipeline& pipeline = state_->pipeline;
  std::string out;
  for (const std::int32_t id : tokens) {
    if (id < 0 || id >= vocabulary_size()) {
      fail(ErrorKind::input, "cannot decode the text token ", id, ": the vocabulary has ", vocabulary_size(),
           " tokens");
    }
    if (!(skip_special_tokens && pipeline.special[id])) out += pipeline.token_bytes[id];
  }
  if (pipeline.has_word_suffix && out.ends_with(' ')) out.pop_back();
  return out;
}

std::int32_t TextTokenizer::vocabulary_size() const {
  return static_cast<std::int32_t>(state_->pipeline.token_bytes.size());
}

std::vector<std::string> TextTokenizer::split_words(std::string_view text) const {
  return state_->pipeline.pre_tokeniser(state_->pipeline.normaliser(text));
}

}  // namespace omni::tokenizers
