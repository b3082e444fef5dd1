#include "shim/shared_memory.h"

#include <algorithm>
#include <cstring>

#include "shim/sanitizer.h"

namespace omni::shim {
namespace {
constexpr unsigned char kCanary = 0xA5;
}

SharedMemory::SharedMemory(std::size_t bytes) : size_(bytes), bytes_(bytes + 2 * kRedZone) {
  std::memset(bytes_.data(), kCanary, bytes + 2 * kRedZone);
  poison(bytes_.data(), kRedZone);
  poison(bytes_.data() + kRedZone + bytes, kRedZone);
}

SharedMemory::~SharedMemory() { unpoison(bytes_.data(), size_ + 2 * kRedZone); }

void SharedMemory::fill(bool other_pattern) {
  unsigned char* bytes = bytes_.data() + kRedZone;
  for (std::size_t i = 0; i < size_; ++i) bytes[i] = other_pattern && i % 2 == 1 ? 0x7f : 0xff;
  forget(bytes, size_);
}

bool SharedMemory::damaged() const {
  if (kAddressSanitizer) return false;
  const unsigned char* before = bytes_.data();
  const unsigned char* after = before + kRedZone + size_;
  const auto differs = [](unsigned char byte) { return byte != kCanary; };
  return std::any_of(before, before + kRedZone, differs) || std::any_of(after, after + kRedZone, differs);
}

}  // namespace omni::shim
