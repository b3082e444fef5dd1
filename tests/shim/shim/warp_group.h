#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "shim/machine.h"

namespace omni::shim {

// A product of a warp group as one thread starts it (wgmma.mma_async m64nNk16, bf16).
struct GroupProduct {
  float* sums;  // [columns / 8][4]
  int columns;
  const unsigned* left;  // four registers, or null: a matrix in shared memory
  std::uint64_t left_descriptor, right_descriptor;
  bool add;
};

// Starts it: until it is waited for the sums hold NaN.
void start_product(const GroupProduct& product);
void commit_products();
// Makes the products of all committed groups but the latest `pending_groups`.
void wait_products(int pending_groups, Site site);

// The products that one thread has started, in groups.
class GroupProducts {
 public:
  struct Started {
    GroupProduct product;
    unsigned left[4];
    std::vector<float> before;  // of the sums; empty where an earlier product still has them
  };
  void add(const GroupProduct& product);
  void commit() { group_ends_.push_back(started_.size()); }
  // How many products a wait makes.
  std::size_t due(std::size_t pending_groups) const;
  const Started& at(std::size_t i) const { return started_[i]; }
  void drop(std::size_t products);
  std::size_t in_flight() const { return started_.size(); }
  void clear();

 private:
  std::deque<Started> started_;
  std::vector<std::size_t> group_ends_;  // counted in started_
};

}  // namespace omni::shim
