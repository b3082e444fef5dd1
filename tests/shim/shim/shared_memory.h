#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace omni::shim {

// The dynamic shared memory of a block between two red zones. AddressSanitizer stops at the first access to
// those; without it, check() finds what was written there.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // Every word becomes a NaN in fp32, bf16 and fp16; two patterns, so that integers that nobody wrote differ
  // between schedules.
  void fill(bool other_pattern);
  std::size_t size() const { return size_; }
  void* data() { return bytes_.data() + kRedZone; }
  // Whether a red zone was written to.
  bool damaged() const;

 private:
  static constexpr std::size_t kRedZone = 256;
  std::size_t size_;
  struct alignas(16) Unit {
    unsigned char bytes[16];
  };
  struct Storage {
    explicit Storage(std::size_t bytes) : units((bytes + sizeof(Unit) - 1) / sizeof(Unit)) {}
    unsigned char* data() { return units.data()->bytes; }
    const unsigned char* data() const { return units.data()->bytes; }
    std::vector<Unit> units;
  } bytes_;
};

}  // namespace omni::shim
