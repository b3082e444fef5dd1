#pragma once

#include <cstddef>

namespace omni::test {

// How much memory a piece of code asks for through operator new, from its making on. Link
// tests/<room>/allocation_peak.cpp (it replaces operator new of the whole program). One at a time.
class AllocationPeak {
 public:
  AllocationPeak();
  std::size_t bytes() const;  // the most that was held at once beyond what was held at the start

 private:
  std::ptrdiff_t start_;
};

}  // namespace omni::test
