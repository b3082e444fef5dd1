#include "shim/async_copy.h"

#include <cstring>

#include "shim/sanitizer.h"

namespace omni::shim {

void AsyncCopies::add(void* target, const void* source, std::size_t bytes, bool valid) {
  std::memset(target, 0xff, bytes);
  forget(target, bytes);
  copies_.push_back({target, source, bytes, valid});
}

void AsyncCopies::wait(std::size_t pending_groups) {
  if (group_ends_.size() <= pending_groups) return;
  const std::size_t groups = group_ends_.size() - pending_groups;
  const std::size_t copies = group_ends_[groups - 1];
  land(copies);
  group_ends_.erase(group_ends_.begin(), group_ends_.begin() + static_cast<std::ptrdiff_t>(groups));
  for (std::size_t& end : group_ends_) end -= copies;
}

void AsyncCopies::wait_all() {
  land(copies_.size());
  group_ends_.clear();
}

void AsyncCopies::clear() {
  copies_.clear();
  group_ends_.clear();
}

void AsyncCopies::land(std::size_t copies) {
  for (std::size_t i = 0; i < copies; ++i) {
    const Copy& copy = copies_[i];
    if (copy.valid)
      std::memcpy(copy.target, copy.source, copy.bytes);
    else
      std::memset(copy.target, 0, copy.bytes);
  }
  copies_.erase(copies_.begin(), copies_.begin() + static_cast<std::ptrdiff_t>(copies));
}

}  // namespace omni::shim
