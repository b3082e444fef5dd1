#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace omni::tokenizers {

// Byte-level BPE, bit-exact with Hugging Face's `tokenizers` for files of the GPT-2, Qwen and CLIP styles.
// For those made by from_merges any byte string can be encoded, and decode(encode(x)) == x; a file may change
// the text (NFC, lower case). Immutable, so thread-safe.
class TextTokenizer {
 public:
  // The merges in the order of their rank, as pairs of byte strings; token ids are the 256 bytes in GPT-2's
  // order, then one per new string. Words are split by GPT-2's pattern. Throws Error(input) where a merge
  // joins strings that are not tokens yet.
  static TextTokenizer from_merges(const std::vector<std::pair<std::string, std::string>>& merges);
  // A Hugging Face tokenizer.json of the byte-level BPE kind: normalisers NFC, Lowercase and Replace;
  // pre-tokenizers Split (Isolated, Removed) and ByteLevel; added tokens with all their flags;
  // post-processors of one text. Throws Error(io), or Error(input) for a broken file or a step of another
  // kind.
  static TextTokenizer load(const std::filesystem::path& path);
  // The same from memory; `name` appears in errors.
  static TextTokenizer parse(std::string json, const std::string& name);
  ~TextTokenizer();
  TextTokenizer(TextTokenizer&&) noexcept;
  TextTokenizer& operator=(TextTokenizer&&) noexcept;

  // As tokenizer.json: byte for byte the file that was loaded. Atomic; throws Error(io).
  void save(const std::filesystem::path& path) const;
  // Of what save() writes: equal bytes, equal fingerprint.
  std::uint64_t fingerprint() const;
  // with_special_tokens: with what the file's post-processor puts around a text (CLIP's start and end, say).
  std::vector<std::int32_t> encode(std::string_view text, bool with_special_tokens = false) const;
  // Throws Error(input) for an id outside the vocabulary.
  std::string decode(std::span<const std::int32_t> tokens, bool skip_special_tokens = false) const;
  std::int32_t vocabulary_size() const;  // the largest id plus one

  // The normalised pieces of a text that merges never cross.
  std::vector<std::string> split_words(std::string_view text) const;

 private:
  struct State;
  explicit TextTokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace omni::tokenizers
