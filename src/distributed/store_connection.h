#pragma once

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "store.h"

namespace omni::distributed {

// What a Store holds, for the files that use c10d.

struct Store::Connection {
  c10::intrusive_ptr<c10d::TCPStore> tcp;
  c10::intrusive_ptr<c10d::PrefixStore> keys;
  std::string prefix;
};

}  // namespace omni::distributed
