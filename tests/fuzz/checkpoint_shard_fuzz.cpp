#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "omni/checkpoint/shard.h"
#include "omni/core/error.h"

// Every piece that is read lies within the tensor that it says it is part of; all else is Error(input).
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace omni;
  try {
    const SafetensorsFile file(std::as_bytes(std::span(data, size)), "fuzz");
    for (const checkpoint::Piece& piece : checkpoint::read_shard(file)) {
      std::int64_t elements = 1;
      for (const std::int64_t side : piece.shape) elements *= side;
      if (piece.first < 0 || piece.first + piece.count() > elements) std::abort();
      for (const std::byte byte : piece.bytes)
        if (volatile std::byte read = byte; read != byte) std::abort();
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) std::abort();
  }
  return 0;
}
