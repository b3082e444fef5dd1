#pragma once

#include <string>

#include "omni/core/error.h"
#include "store.h"

namespace omni::distributed {

// Why a run ends on all ranks: the first failure that any of them, or their launcher, puts into the store.

struct Verdict {
  ErrorKind kind = ErrorKind::io;
  std::string text;  // names rank, host and reason
};

inline constexpr const char* kVerdictKey = "verdict";
inline constexpr const char* kLauncherPrefix = "omni";  // of the keys in the store of our own launcher

std::string pack(const Verdict& verdict);
Verdict unpack_verdict(const std::string& packed);
// The verdict that holds: this one, or the one that was there before.
Verdict propose(Store& store, const Verdict& verdict);

}  // namespace omni::distributed
