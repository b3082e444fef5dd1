#pragma once

#include <memory>

namespace omni::kernels {

// A stretch of work that LibTorch's profilers and observers see under its name, from here to the end of the block. Costs a
// call where nobody looks. LibTorch's own macro takes seconds to compile in every file that has one.
class ProfiledRange {
 public:
  enum class Kind {
    operation,  // as one of LibTorch's operations
    phase,      // of a program, which holds operations
  };
  explicit ProfiledRange(const char* name, Kind kind = Kind::operation);
  ~ProfiledRange();
  ProfiledRange(const ProfiledRange&) = delete;
  ProfiledRange& operator=(const ProfiledRange&) = delete;

 private:
  struct Record;
  std::unique_ptr<Record> record_;  // null where nobody looks
};

}  // namespace omni::kernels
