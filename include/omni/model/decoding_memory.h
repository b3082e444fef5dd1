#pragma once

#include <cstdint>

#include "omni/model/decode_precision.h"
#include "omni/model/transformer.h"

namespace omni::model {

// What decoding keeps in memory, in bytes.
struct DecodingMemory {
  std::int64_t weights = 0;  // as they are read, and packed; mapped ones: what a step reads of the map
  std::int64_t cache = 0;    // keys and values
  std::int64_t total() const { return weights + cache; }
};
// Of a transformer that may have shapes alone; `capacity` positions for each of `sequences`. `mapped`: as
// map_transformer() does it.
DecodingMemory decoding_memory(const Transformer& transformer, const DecodePrecision& precision,
                               std::int64_t sequences, std::int64_t capacity, bool mapped);
// The same on a GPU, of a transformer that was moved there with matrices in the type that products are made in; see
// Transformer::to(). Int8 is there the cache's alone.
DecodingMemory device_decoding_memory(const Transformer& transformer, const DecodePrecision& precision,
                                      std::int64_t sequences, std::int64_t capacity);

}  // namespace omni::model
