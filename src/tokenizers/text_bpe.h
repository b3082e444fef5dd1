#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace omni::tokenizers {

// The merging half of byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909): repeatedly merges the
// adjacent pair of lowest rank, the leftmost first among equals. Const use is thread-safe.
struct BytePairEncoding {
  struct Merge {
    std::int32_t rank, result;
  };
  static std::uint64_t key(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }

  std::array<std::int32_t, 256> byte_ids{};  // -1: not in the vocabulary
  // Of a word's last byte, with the end-of-word suffix where there is one.
  std::array<std::int32_t, 256> last_byte_ids{};
  std::int32_t unknown_id = -1;  // for bytes outside the vocabulary; -1: such bytes are dropped
  bool fuse_unknown = false;     // a run of unknown bytes is one token
  std::unordered_map<std::uint64_t, Merge> merges;
  std::unordered_map<std::string, std::int32_t> whole_words;  // taken unmerged where a word is one of these

  void encode_word(std::string_view word, std::vector<std::int32_t>& out) const;
};

}  // namespace omni::tokenizers
