#pragma once

#include <array>
#include <cstddef>
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

// Lets products use these registers until the thread's next wait.
void begin_products(const void* registers, std::size_t bytes);
// Starts one: until it is waited for the sums hold NaN. Its registers must have been begun with, except for sums of
// a product in flight.
void start_product(const GroupProduct& product);
void commit_products();
// Makes the products of all committed groups but the latest `pending_groups`. Their left factors must be as they
// were, and the warps of a group must wait for the same products.
void wait_products(int pending_groups, Site site);

// The products that one thread has started, in groups.
class GroupProducts {
 public:
  struct Started {
    GroupProduct product;
    unsigned left[4];
    std::vector<float> before;  // of the sums; empty where an earlier product still has them
  };
  void begin(const void* registers, std::size_t bytes);
  void add(const GroupProduct& product);
  void commit() { group_ends_.push_back(started_.size()); }
  // How many products a wait makes.
  std::size_t due(std::size_t pending_groups) const;
  const Started& at(std::size_t i) const { return started_[i]; }
  // After a wait that made so many: drops them, and what registers were begun with.
  void drop(std::size_t products);
  std::size_t in_flight() const { return started_.size(); }
  void clear();

 private:
  struct Registers {
    std::uintptr_t first, last;
  };
  bool begun(const void* registers, std::size_t bytes) const;

  std::deque<Started> started_;
  std::vector<Registers> begun_;
  std::vector<std::size_t> group_ends_;  // counted in started_
};

// What the warps of each warp group of a block wait for, one by one.
class GroupWaits {
 public:
  // Fails where an earlier warp of the group made other products at the same wait.
  void add(unsigned warp, const std::vector<GroupProduct>& products);
  // Fails where the warps of a group did not wait equally often.
  void check_ends() const;
  void clear() { groups_.clear(); }

 private:
  static constexpr unsigned kWarps = 4;
  struct Group {
    std::vector<std::vector<GroupProduct>> products;  // of each wait
    std::array<std::size_t, kWarps> waits{};
  };
  std::vector<Group> groups_;
};

}  // namespace omni::shim
