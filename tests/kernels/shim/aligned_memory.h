#pragma once

#include <cstddef>
#include <memory>

namespace omni::cuda {

// Zeroed memory at a multiple of 16 bytes, which stays where it is.
template <class T>
class AlignedMemory {
 public:
  explicit AlignedMemory(std::size_t count) : blocks_(new Block[count * sizeof(T) / 16 + 1]()) {}
  T* data() const { return reinterpret_cast<T*>(blocks_.get()); }
  T& operator[](std::size_t i) const { return data()[i]; }

 private:
  struct alignas(16) Block {
    unsigned char bytes[16];
  };
  std::unique_ptr<Block[]> blocks_;
};

}  // namespace omni::cuda
