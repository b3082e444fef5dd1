#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "omni/kernels/tensor.h"

namespace omni::model {

// Arrays of one batch side by side in one block of memory, so that they reach the device in one copy.

// Where an array lies in an arena.
struct ArenaPlace {
  std::int64_t offset = 0;  // in bytes
  std::int64_t count = 0;   // of elements
  at::ScalarType type = at::kByte;

  friend bool operator==(const ArenaPlace&, const ArenaPlace&) = default;
};

class BatchArena {
 public:
  template <class T>
  ArenaPlace add(const std::vector<T>& values) {
    return append(values.data(), values.size(), sizeof(T), c10::CppTypeToScalarType<T>::value);
  }
  // Once, when everything is there. Pinned memory is copied to a GPU while the processor goes on.
  void close(bool pinned);
  // All bytes, there. One copy; none on the processor.
  at::Tensor on(at::Device device) const;
  std::int64_t bytes() const { return bytes_.numel(); }              // once it is closed
  const at::Tensor& on_host() const { return bytes_; }               // likewise
  const std::vector<ArenaPlace>& places() const { return places_; }  // of all arrays, in their order

 private:
  ArenaPlace append(const void* values, std::size_t count, std::size_t size, at::ScalarType type);
  std::vector<std::byte> filled_;
  std::vector<ArenaPlace> places_;
  at::Tensor bytes_;
};

// An array [count] of an arena whose bytes are given; it shares their memory.
at::Tensor array_at(const at::Tensor& bytes, const ArenaPlace& place);

}  // namespace omni::model
