#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "omni/core/error.h"
#include "omni/data/token_shard.h"

// A shard that opens can be read in full. The content hash is the last line of defence here: without a
// matching one nothing opens, so the seeds are whole shards.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const omni::data::TokenShard shard(std::as_bytes(std::span(data, size)), "fuzz");
    for (std::int64_t i = 0; i < shard.size(); ++i) shard.object(i);
  } catch (const omni::Error& error) {
    if (error.kind() != omni::ErrorKind::input) std::abort();
  }
  return 0;
}
