#include "shim/bulk_copy.h"

#include <cstring>

#include "hopper_matrix.h"
#include "omni/core/error.h"
#include "shim/block.h"
#include "shim/sanitizer.h"

namespace omni::shim {
namespace {

constexpr unsigned kWindowBegin = 1024 + 16;
constexpr std::uint8_t kMade = 0x5a;

std::size_t box_bytes(const TensorMap& map) {
  return static_cast<std::size_t>(map.box_rows) * cuda::kPanelRowBytes;
}

}  // namespace

unsigned shared_window(const void* pointer) {
  const auto* const begin = static_cast<const unsigned char*>(dynamic_shared());
  return kWindowBegin + static_cast<unsigned>(static_cast<const unsigned char*>(pointer) - begin);
}

unsigned char* shared_place(unsigned address, std::size_t bytes, Site site) {
  Block& block = Block::current();
  if (address < kWindowBegin || address - kWindowBegin + bytes > block.shared_bytes())
    block.fail_here(concat("addresses shared memory outside of what it has, at ", address), site);
  return static_cast<unsigned char*>(block.shared()) + (address - kWindowBegin);
}

void SharedBarrier::initialise(unsigned arrivals, Site site) {
  check_aligned(this, 8, "barrier in shared memory");
  if (arrivals == 0 || arrivals > 0xff)
    Block::current().fail_here("makes a barrier for no arrivals or too many", site);
  arrivals_ = missing_ = static_cast<std::uint8_t>(arrivals);
  phase_ = 0;
  missing_bytes_ = 0;
  made_ = kMade;
}

void SharedBarrier::arrive(Site site) {
  if (made_ != kMade || missing_ == 0)
    Block::current().fail_here("arrives at a barrier that nobody made, or once too often", site);
  --missing_;
  end_phase_where_complete();
}

void SharedBarrier::arrive_expecting(unsigned bytes, Site site) {
  missing_bytes_ += static_cast<std::int32_t>(bytes);
  arrive(site);
}

void SharedBarrier::take_bytes(std::size_t bytes) {
  missing_bytes_ -= static_cast<std::int32_t>(bytes);
  end_phase_where_complete();
}

void SharedBarrier::end_phase_where_complete() {
  if (missing_ > 0 || missing_bytes_ != 0) return;
  phase_ ^= 1;
  missing_ = arrivals_;
}

void SharedBarrier::wait(unsigned parity, Site site) {
  Block& block = Block::current();
  if (made_ != kMade) block.fail_here("waits for a barrier that nobody made", site);
  block.wait_for(*this, parity, site);
}

bool SharedBarrier::ended(unsigned parity, BulkCopies& copies) {
  copies.land(this);
  return phase_ != parity;
}

void copy_box(unsigned target, const TensorMap& map, SharedBarrier& barrier, int column, int head, int row,
              Site site) {
  Block& block = Block::current();
  if (target % cuda::kSwizzleAtomBytes != 0) block.fail_here("copies a box to no whole swizzle atom", site);
  if (map.box_rows < 1 || map.box_rows > 256) block.fail_here("copies a box of too many rows", site);
  block.bulk_copies().add(
      {shared_place(target, box_bytes(map), site), target, map, &barrier, column, head, row});
}

void BulkCopies::add(const Copy& copy) {
  std::memset(copy.memory, 0xff, box_bytes(copy.map));
  forget(copy.memory, box_bytes(copy.map));
  copies_.push_back(copy);
}

void BulkCopies::land(SharedBarrier* barrier) {
  for (std::size_t i = 0; i < copies_.size();) {
    if (copies_[i].barrier != barrier) {
      ++i;
      continue;
    }
    const Copy copy = copies_[i];
    copies_.erase(copies_.begin() + static_cast<std::ptrdiff_t>(i));
    const TensorMap& map = copy.map;
    for (int r = 0; r < map.box_rows; ++r)
      for (int c = 0; c < cuda::kPanelColumns; ++c) {
        const int row = copy.row + r, column = copy.column + c;
        const bool inside = row >= 0 && row < map.rows && column >= 0 && column < map.head_size &&
                            copy.head >= 0 && copy.head < map.heads;
        const std::uint16_t number =
            inside ? map.data[row * map.row_stride + copy.head * map.head_stride + column] : std::uint16_t{0};
        // CUDA driver interface, CU_TENSOR_MAP_SWIZZLE_128B: in each 1,024 bytes the 16-byte piece p of row r of
        // 128 bytes lies at piece p xor r.
        const int piece = c / 8 ^ r % 8;
        std::memcpy(copy.memory + r * 128 + piece * 16 + c % 8 * 2, &number, sizeof number);
      }
    barrier->take_bytes(box_bytes(map));
  }
}

}  // namespace omni::shim
