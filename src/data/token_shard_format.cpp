#include "token_shard_format.h"

#include <cinttypes>
#include <cstdio>

#include "omni/core/random.h"
#include "omni/data/token_shard.h"

namespace omni::data {

DType code_dtype(std::int64_t vocabulary) {
  if (vocabulary <= 256) return DType::u8;
  return vocabulary <= 32768 ? DType::i16 : DType::i32;
}

std::uint64_t tensor_hash(std::string_view name, const TensorView& view) {
  const std::string_view bytes(reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size());
  return hash_combine(hash_string(name), hash_string(bytes));
}

std::string hexadecimal(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016" PRIx64, value);
  return text;
}

std::string tokenizer_difference(const TokenShardInfo& a, const TokenShardInfo& b) {
  if (a.text_vocabulary > 0 && b.text_vocabulary > 0 &&
      (a.text_tokenizer != b.text_tokenizer || a.text_vocabulary != b.text_vocabulary)) {
    return "the text tokenizer";
  }
  if (a.image_vocabulary > 0 && b.image_vocabulary > 0 &&
      (a.image_tokenizer != b.image_tokenizer || a.image_vocabulary != b.image_vocabulary ||
       a.image_grid_side != b.image_grid_side)) {
    return "the image tokenizer";
  }
  if (a.geometry_vocabulary > 0 && b.geometry_vocabulary > 0 &&
      (a.shape_tokenizer != b.shape_tokenizer || a.geometry_vocabulary != b.geometry_vocabulary ||
       a.geometry_codes != b.geometry_codes || a.geometry_lengths != b.geometry_lengths ||
       a.geometry_grid_side != b.geometry_grid_side || a.colour_vocabulary != b.colour_vocabulary ||
       a.colour_codes != b.colour_codes || a.colour_grid_side != b.colour_grid_side)) {
    return "the shape tokenizer";
  }
  return "";
}

}  // namespace omni::data
