#pragma once

#include <signal.h>

namespace omni::distributed {

// While it lives, writing to a peer that is gone fails as other calls do, instead of ending the process without a
// word: neither Gloo nor c10d's store asks for that themselves.
class BrokenPipesAsErrors {
 public:
  BrokenPipesAsErrors() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &before_);
  }
  ~BrokenPipesAsErrors() { ::sigaction(SIGPIPE, &before_, nullptr); }
  BrokenPipesAsErrors(const BrokenPipesAsErrors&) = delete;
  BrokenPipesAsErrors& operator=(const BrokenPipesAsErrors&) = delete;

 private:
  struct sigaction before_ {};
};

}  // namespace omni::distributed
