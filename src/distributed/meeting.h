#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "gloo_links.h"
#include "omni/distributed/launch_environment.h"
#include "omni/distributed/ranks.h"
#include "store.h"

namespace omni::distributed {

// How ranks find each other and see that they are ranks of one run.

// Every rank throws the same.
class CommonError : public Error {
 public:
  using Error::Error;
};

// Where the launcher serves no store, rank 0 does.
std::unique_ptr<Store> open_store(const LaunchEnvironment& launch, std::chrono::milliseconds patience);

// Waits until all ranks are there and tells their hosts. Throws Error(io), which names the ranks that are not
// there, and the run's verdict where one of them has failed meanwhile.
Peers meet(Store& store, const LaunchEnvironment& launch, std::chrono::milliseconds patience);

// What every rank has set under `key` and its number, in the order of the ranks. Throws as meet() does.
std::vector<std::string> gather(Store& store, int size, const std::string& key,
                                std::chrono::milliseconds patience);

// Ranks::compare(); `number` counts the calls. Throws CommonError.
void compare_fingerprints(Store& store, const Peers& peers, int number, const std::vector<Fingerprint>& mine,
                          std::chrono::milliseconds patience);

}  // namespace omni::distributed
