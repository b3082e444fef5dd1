#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shim/machine.h"

namespace omni::shim {

// Where the window of shared memory that PTX addresses count in shows `pointer`. The block's memory begins in it
// at a multiple of 16 that is none of any larger power of two.
unsigned shared_window(const void* pointer);
// The place that the window shows at `address`; throws omni::Error where no memory of the block is.
unsigned char* shared_place(unsigned address, std::size_t bytes, Site site);

class BulkCopies;

// PTX's mbarrier: a phase ends when all arrivals and all expected bytes are there.
class alignas(8) SharedBarrier {
 public:
  void initialise(unsigned arrivals, Site site = {__builtin_FILE(), __builtin_LINE()});
  void arrive(Site site = {__builtin_FILE(), __builtin_LINE()});
  void arrive_expecting(unsigned bytes, Site site = {__builtin_FILE(), __builtin_LINE()});
  void wait(unsigned parity, Site site = {__builtin_FILE(), __builtin_LINE()});

  // Whether the phase of that parity has ended, once what is in flight has landed.
  bool ended(unsigned parity, BulkCopies& copies);
  // Of a bulk copy that lands.
  void take_bytes(std::size_t bytes);

 private:
  void end_phase_where_complete();

  std::uint8_t arrivals_, missing_, phase_, made_;
  std::int32_t missing_bytes_;
};

// Of [rows, heads, head_size] 16-bit numbers: boxes of box_rows rows and 64 columns of one head.
struct TensorMap {
  const std::uint16_t* data;
  std::int64_t row_stride, head_stride;
  std::int32_t rows, heads, head_size;
  int box_rows;
};

// Starts the copy of a box with 128-byte swizzle. Its target holds NaN until somebody waits for the barrier.
void copy_box(unsigned target, const TensorMap& map, SharedBarrier& barrier, int column, int head, int row,
              Site site);

// The bulk copies that a block has in flight.
class BulkCopies {
 public:
  struct Copy {
    unsigned char* memory;  // of the block, where its window shows `window`
    unsigned window;
    TensorMap map;
    SharedBarrier* barrier;
    int column, head, row;
  };
  void add(const Copy& copy);
  void land(SharedBarrier* barrier);
  std::size_t in_flight() const { return copies_.size(); }
  void clear() { copies_.clear(); }

 private:
  std::vector<Copy> copies_;
};

}  // namespace omni::shim
