#include "token_shard_format.h"

#include "omni/core/random.h"

namespace omni::data {

DType code_dtype(std::int64_t vocabulary) {
  if (vocabulary <= 256) return DType::u8;
  return vocabulary <= 32768 ? DType::i16 : DType::i32;
}

std::uint64_t tensor_hash(std::string_view name, const TensorView& view) {
  const std::string_view bytes(reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size());
  return hash_combine(hash_string(name), hash_string(bytes));
}

}  // namespace omni::data
