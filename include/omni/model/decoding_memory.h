#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "omni/model/decode_precision.h"
#include "omni/model/transformer.h"

namespace omni::model {

// What decoding keeps in memory, in bytes.
struct DecodingMemory {
  std::int64_t weights = 0;  // as they are read, and packed; mapped ones: what a step reads of the map
  std::int64_t cache = 0;    // keys and values
  std::int64_t total() const { return weights + cache; }
};
// Where they lie.
struct WeightStorage {
  bool mapped = false;  // as map_transformer() does it
  // Of mapped ones: the parameters whose numbers are all of bf16, which take twelve bits each in fp32, too.
  std::set<std::string> of_bf16 = {};
};
// Of a transformer that may have shapes alone; `capacity` positions for each of `sequences`. Mapped numbers of bf16 are taken to
// be distributed as weights are, so that twelve bits hold them; those in fp32 that could be held so are not known before.
DecodingMemory decoding_memory(const Transformer& transformer, const DecodePrecision& precision,
                               std::int64_t sequences, std::int64_t capacity, const WeightStorage& storage);
// The same on a GPU, of a transformer that was moved there with matrices in the type that products are made in; see
// Transformer::to(). Int8 is there the cache's alone.
DecodingMemory device_decoding_memory(const Transformer& transformer, const DecodePrecision& precision,
                                      std::int64_t sequences, std::int64_t capacity);

}  // namespace omni::model
