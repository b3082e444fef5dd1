#pragma once

#include <cstddef>
#include <vector>

namespace omni::shim {

// The cp.async copies that one thread has in flight, in groups. Each lands as late as the waits allow.
class AsyncCopies {
 public:
  // Until it lands, the target holds NaN. With valid = false zeros land and nothing is read.
  void add(void* target, const void* source, std::size_t bytes, bool valid);
  void commit() { group_ends_.push_back(copies_.size()); }
  // Lands all committed groups but the latest `pending_groups`.
  void wait(std::size_t pending_groups);
  void wait_all();
  void clear();
  std::size_t in_flight() const { return copies_.size(); }

 private:
  struct Copy {
    void* target;
    const void* source;
    std::size_t bytes;
    bool valid;
  };
  void land(std::size_t copies);

  std::vector<Copy> copies_;
  std::vector<std::size_t> group_ends_;  // counted in copies_
};

}  // namespace omni::shim
