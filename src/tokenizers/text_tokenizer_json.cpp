#include <algorithm>
#include <limits>
#include <set>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "text_byte_alphabet.h"
#include "text_pipeline.h"
#include "text_unicode.h"

namespace omni::tokenizers {
namespace {

using Json = nlohmann::json;

// The value of a key, or null where the key is absent.
const Json& optional_member(const Json& object, const char* key) {
  static const Json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

std::string type_of(const Json& step) { return step.at("type").get<std::string>(); }

[[noreturn]] void unsupported(const char* what, const std::string& type) {
  fail(ErrorKind::input, what, " `", type, "` is not supported by the byte-level BPE reader");
}

Regex read_pattern(const Json& pattern) {
  if (pattern.contains("String")) return Regex(quote_regex(pattern.at("String").get<std::string>()));
  return Regex(pattern.at("Regex").get<std::string>());
}

void read_normaliser(const Json& step, TextNormaliser& out) {
  if (step.is_null()) return;
  const std::string type = type_of(step);
  if (type == "Sequence") {
    for (const Json& inner : step.at("normalizers")) read_normaliser(inner, out);
  } else if (type == "NFC") {
    out.add_nfc();
  } else if (type == "Lowercase") {
    out.add_lower_case();
  } else if (type == "Replace") {
    out.add_replacement(read_pattern(step.at("pattern")), step.at("content").get<std::string>());
  } else {
    unsupported("the normaliser", type);
  }
}

PreTokeniser::Keep read_behaviour(const Json& step) {
  const std::string behaviour = step.at("behavior").get<std::string>();
  const bool invert = optional_member(step, "invert").is_boolean() && step["invert"].get<bool>();
  if (behaviour == "Isolated") return PreTokeniser::Keep::isolated;
  if (behaviour != "Removed") unsupported("the split behaviour", behaviour);
  return invert ? PreTokeniser::Keep::matches : PreTokeniser::Keep::gaps;
}

// Returns whether a ByteLevel step was seen, which must come last.
bool read_pre_tokeniser(const Json& step, PreTokeniser& out) {
  if (step.is_null()) return false;
  const std::string type = type_of(step);
  if (type == "Sequence") {
    bool byte_level = false;
    for (const Json& inner : step.at("pretokenizers")) {
      if (byte_level) unsupported("a step after ByteLevel:", type_of(inner));
      byte_level = read_pre_tokeniser(inner, out);
    }
    return byte_level;
  }
  if (type == "Split") {
    out.add_split(read_pattern(step.at("pattern")), read_behaviour(step));
    return false;
  }
  if (type != "ByteLevel") unsupported("the pre-tokenizer", type);
  if (step.at("add_prefix_space").get<bool>()) out.add_prefix_space();
  if (step.value("use_regex", true)) out.add_split(Regex(gpt2_pattern), PreTokeniser::Keep::isolated);
  return true;
}

void read_template(const Json& step, TextPipeline& out) {
  bool after_text = false;
  for (const Json& piece : step.at("single")) {
    if (piece.contains("Sequence")) {
      after_text = true;
      continue;
    }
    const std::string name = piece.at("SpecialToken").at("id").get<std::string>();
    const auto ids = step.at("special_tokens").at(name).at("ids").get<std::vector<std::int32_t>>();
    auto& side = after_text ? out.suffix : out.prefix;
    side.insert(side.end(), ids.begin(), ids.end());
  }
}

void read_post_processor(const Json& step, TextPipeline& out) {
  if (step.is_null()) return;
  const std::string type = type_of(step);
  if (type == "Sequence") {
    for (const Json& inner : step.at("processors")) read_post_processor(inner, out);
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    out.prefix.push_back(step.at("cls").at(1).get<std::int32_t>());
    out.suffix.push_back(step.at("sep").at(1).get<std::int32_t>());
  } else if (type == "TemplateProcessing") {
    read_template(step, out);
  } else if (type != "ByteLevel") {
    unsupported("the post-processor", type);
  }
}

void check_id(std::int64_t id, std::size_t entries) {
  // Ids index tables, so a hostile file must not choose their size.
  const auto limit = static_cast<std::int64_t>(2 * entries + 65'536);
  if (id < 0 || id >= limit) fail(ErrorKind::input, "the token id ", id, " is outside 0 .. ", limit - 1);
}

void set_token_bytes(TextPipeline& out, std::int32_t id, std::string bytes) {
  if (out.token_bytes.size() <= static_cast<std::size_t>(id)) out.token_bytes.resize(id + 1);
  out.token_bytes[id] = std::move(bytes);
}

using Vocabulary = std::unordered_map<std::string, std::int32_t>;

std::int32_t token_id(const Vocabulary& vocabulary, const std::string& token) {
  const auto found = vocabulary.find(token);
  if (found == vocabulary.end()) fail(ErrorKind::input, "the token `", token, "` is not in the vocabulary");
  return found->second;
}

Vocabulary read_vocabulary(const Json& vocab, const std::string& word_suffix, TextPipeline& out) {
  if (!vocab.is_object()) fail(ErrorKind::input, "model.vocab is not a mapping");
  Vocabulary vocabulary;
  vocabulary.reserve(vocab.size());
  for (const auto& [token, value] : vocab.items()) {
    const auto wide = value.get<std::int64_t>();
    check_id(wide, vocab.size());
    const auto id = static_cast<std::int32_t>(wide);
    vocabulary.emplace(token, id);
    const bool ends_word = !word_suffix.empty() && token.ends_with(word_suffix);
    const std::string_view stem =
        std::string_view(token).substr(0, token.size() - (ends_word ? word_suffix.size() : 0));
    std::string bytes = byte_alphabet().to_bytes(stem).value_or(std::string(stem));
    if (ends_word) bytes.push_back(' ');
    set_token_bytes(out, id, std::move(bytes));
  }
  return vocabulary;
}

void read_merges(const Json& merges, const Vocabulary& vocabulary, BytePairEncoding& out) {
  if (!merges.is_array()) fail(ErrorKind::input, "model.merges is not a list");
  out.merges.reserve(merges.size());
  std::int32_t rank = 0;
  for (const Json& merge : merges) {
    std::string left, right;
    if (merge.is_array()) {
      left = merge.at(0).get<std::string>();
      right = merge.at(1).get<std::string>();
    } else {
      const auto& text = merge.get_ref<const std::string&>();
      const std::size_t space = text.find(' ');
      if (space == std::string::npos)
        fail(ErrorKind::input, "the merge `", text, "` is not a pair of tokens");
      left = text.substr(0, space);
      right = text.substr(space + 1);
    }
    const std::uint64_t key = BytePairEncoding::key(token_id(vocabulary, left), token_id(vocabulary, right));
    out.merges[key] = {rank++, token_id(vocabulary, left + right)};
  }
}

void check_model_options(const Json& model) {
  const auto refuse = [&](const char* key, bool bad) {
    if (bad) fail(ErrorKind::input, "model.", key, " = ", json_text(model[key]), " is not supported");
  };
  const Json& type = optional_member(model, "type");
  if (type.is_string() && type != "BPE") unsupported("the model", type.get<std::string>());
  refuse("dropout", optional_member(model, "dropout").is_number() && model["dropout"] != 0);
  const Json& prefix = optional_member(model, "continuing_subword_prefix");
  refuse("continuing_subword_prefix", prefix.is_string() && prefix != "");
  refuse("byte_fallback", optional_member(model, "byte_fallback") == true);
}

void read_model(const Json& model, TextPipeline& out) {
  check_model_options(model);
  const Json& suffix_member = optional_member(model, "end_of_word_suffix");
  const std::string word_suffix = suffix_member.is_string() ? suffix_member.get<std::string>() : "";
  out.has_word_suffix = !word_suffix.empty();
  const Vocabulary vocabulary = read_vocabulary(model.at("vocab"), word_suffix, out);
  const auto find = [&](const std::string& token) {
    const auto found = vocabulary.find(token);
    return found == vocabulary.end() ? -1 : found->second;
  };
  for (int byte = 0; byte < 256; ++byte) {
    const std::string character = byte_alphabet().to_characters(std::string(1, static_cast<char>(byte)));
    out.model.byte_ids[byte] = find(character);
    out.model.last_byte_ids[byte] = find(character + word_suffix);
  }
  const Json& unknown = optional_member(model, "unk_token");
  if (unknown.is_string()) out.model.unknown_id = token_id(vocabulary, unknown.get<std::string>());
  out.model.fuse_unknown = optional_member(model, "fuse_unk") == true;
  read_merges(model.at("merges"), vocabulary, out.model);
  if (optional_member(model, "ignore_merges") == true) {
    for (const auto& [token, id] : vocabulary) {
      if (const auto bytes = byte_alphabet().to_bytes(token)) out.model.whole_words.emplace(*bytes, id);
    }
  }
}

void read_added_tokens(const Json& tokens, TextPipeline& out) {
  if (tokens.is_null()) return;
  const std::size_t entries = out.token_bytes.size() + tokens.size();
  for (const Json& item : tokens) {
    const auto wide = item.at("id").get<std::int64_t>();
    check_id(wide, entries);
    AddedToken token{.id = static_cast<std::int32_t>(wide), .content = item.at("content").get<std::string>()};
    token.special = item.value("special", false);
    token.normalised = item.value("normalized", !token.special);
    token.single_word = item.value("single_word", false);
    token.strip_left = item.value("lstrip", false);
    token.strip_right = item.value("rstrip", false);
    set_token_bytes(out, token.id, token.content);
    out.special.resize(std::max(out.special.size(), out.token_bytes.size()));
    out.special[token.id] = token.special;
    auto& finder = token.normalised ? out.normalised_tokens : out.raw_tokens;
    const std::string form = token.normalised ? out.normaliser(token.content) : token.content;
    finder.add(std::move(token), form);
  }
}

TextPipeline read_pipeline(const Json& root) {
  if (!root.is_object() || !root.contains("model")) fail(ErrorKind::input, "there is no `model`");
  TextPipeline out;
  read_normaliser(optional_member(root, "normalizer"), out.normaliser);
  if (!read_pre_tokeniser(optional_member(root, "pre_tokenizer"), out.pre_tokeniser)) {
    fail(ErrorKind::input, "the pre-tokenizer has no ByteLevel step, so this is no byte-level BPE tokenizer");
  }
  read_post_processor(optional_member(root, "post_processor"), out);
  read_model(root.at("model"), out);
  read_added_tokens(optional_member(root, "added_tokens"), out);
  out.special.resize(out.token_bytes.size());
  for (const auto* ids : {&out.prefix, &out.suffix}) {
    for (const std::int32_t id : *ids) {
      if (id < 0 || static_cast<std::size_t>(id) >= out.token_bytes.size()) {
        fail(ErrorKind::input, "the post-processor uses the unknown token id ", id);
      }
    }
  }
  return out;
}

}  // namespace

TextPipeline parse_tokenizer_json(std::string_view json, const std::string& name) {
  try {
    return read_pipeline(parse_json(json));
  } catch (const Json::exception& error) {
    fail(ErrorKind::input, "cannot read the tokenizer ", name, ": it is not the JSON of a tokenizer (",
         error.what(), "). Take the file anew from where it came");
  } catch (const Error& error) {
    throw Error(error.kind(), concat("cannot read the tokenizer ", name, ": ", error.what()));
  }
}

std::string make_tokenizer_json(const std::vector<std::pair<std::string, std::string>>& merges) {
  const ByteAlphabet& alphabet = byte_alphabet();
  nlohmann::ordered_json vocabulary, merge_list = nlohmann::ordered_json::array();
  std::set<std::string> known;
  const auto add = [&](const std::string& bytes) {
    if (known.insert(bytes).second) vocabulary[alphabet.to_characters(bytes)] = known.size() - 1;
  };
  for (const unsigned char byte : alphabet.id_order()) add(std::string(1, static_cast<char>(byte)));
  for (const auto& [left, right] : merges) {
    if (!known.contains(left) || !known.contains(right)) {
      fail(ErrorKind::input, "cannot make a tokenizer: merge ", merge_list.size(),
           " joins a byte string that no earlier merge made");
    }
    add(left + right);
    merge_list.push_back(alphabet.to_characters(left) + " " + alphabet.to_characters(right));
  }
  const nlohmann::ordered_json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const nlohmann::ordered_json model = {{"type", "BPE"},
                                        {"dropout", nullptr},
                                        {"unk_token", nullptr},
                                        {"continuing_subword_prefix", nullptr},
                                        {"end_of_word_suffix", nullptr},
                                        {"fuse_unk", false},
                                        {"byte_fallback", false},
                                        {"ignore_merges", false},
                                        {"vocab", vocabulary},
                                        {"merges", merge_list}};
  const nlohmann::ordered_json root = {{"version", "1.0"},
                                       {"truncation", nullptr},
                                       {"padding", nullptr},
                                       {"added_tokens", nlohmann::ordered_json::array()},
                                       {"normalizer", nullptr},
                                       {"pre_tokenizer", byte_level},
                                       {"post_processor", nullptr},
                                       {"decoder", byte_level},
                                       {"model", model}};
  return json_text(root, 1) + "\n";
}

}  // namespace omni::tokenizers
