#include "shim/warp_group.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include "omni/core/error.h"
#include "shim/block.h"
#include "shim/bulk_copy.h"
#include "shim/half.h"

namespace omni::shim {
namespace {

constexpr int kInner = 16;

// PTX ISA, "Matrix Descriptor Format": bits 0 to 13 the address, 16 to 29 the leading, 32 to 45 the stride
// dimension's byte offset, each without its last four bits; 62 and 63 the swizzle, 1 for 128 bytes.
struct Descriptor {
  unsigned address, leading, stride, swizzle;
  explicit Descriptor(std::uint64_t bits)
      : address(static_cast<unsigned>(bits & 0x3fff) << 4),
        leading(static_cast<unsigned>(bits >> 16 & 0x3fff) << 4),
        stride(static_cast<unsigned>(bits >> 32 & 0x3fff) << 4),
        swizzle(static_cast<unsigned>(bits >> 62)) {}
};

// Bits 4 to 6 of an address change with its bits 7 to 9.
float number_at(unsigned address, Site site) {
  const unsigned place = address ^ (address >> 7 & 7u) << 4;
  std::uint16_t bits;
  std::memcpy(&bits, shared_place(place, sizeof bits, site), sizeof bits);
  return bfloat16_value(bits);
}

// PTX ISA, "Strides": K-major, rows of 128 bytes, eight to an atom; `stride` leads to the next eight rows.
float from_rows(const Descriptor& d, int row, int k, Site site) {
  return number_at(
      d.address + static_cast<unsigned>(row / 8) * d.stride + static_cast<unsigned>(row % 8 * 128 + k * 2),
      site);
}
// MN-major: 64 columns of one k are 128 bytes, eight k to an atom; `stride` leads to the next eight k, `leading`
// to the next 64 columns.
float from_columns(const Descriptor& d, int column, int k, Site site) {
  return number_at(d.address + static_cast<unsigned>(column / 64) * d.leading +
                       static_cast<unsigned>(k / 8) * d.stride +
                       static_cast<unsigned>(k % 8 * 128 + column % 64 * 2),
                   site);
}

// Whether two threads of a warp group start the same product.
bool same_product(const GroupProduct& a, const GroupProduct& b) {
  return a.columns == b.columns && a.left_descriptor == b.left_descriptor &&
         a.right_descriptor == b.right_descriptor && a.add == b.add &&
         (a.left != nullptr) == (b.left != nullptr);
}

// One warp's 16 rows of a product: A [16, 16], B [16, columns].
void multiply(const LaneRequest* lanes, std::size_t number, int warp, Site site) {
  const auto started = [&](int lane) -> const GroupProducts::Started& {
    return static_cast<Thread*>(lanes[lane].output)->products.at(number);
  };
  const GroupProduct& product = started(0).product;
  const bool registers = product.left != nullptr;
  for (int lane = 0; lane < 32; ++lane) {
    const GroupProducts::Started& other = started(lane);
    if (!same_product(other.product, product))
      fail(ErrorKind::internal, "the lanes of a warp start different products of a warp group");
    if (registers && !std::equal(std::begin(other.left), std::end(other.left), other.product.left))
      fail(ErrorKind::internal,
           "the left factor of a product of a warp group changed while it was in flight");
  }
  const Descriptor left(product.left_descriptor), right(product.right_descriptor);
  if (right.swizzle != 1 || (!registers && left.swizzle != 1))
    fail(ErrorKind::internal, "a product's matrix has another swizzle than 128 bytes");

  float a[16][kInner];
  for (int row = 0; row < 16; ++row)
    for (int k = 0; k < kInner; ++k) {
      if (registers) {
        // PTX ISA, "Register Fragments" of A: as those of mma.m16n8k16.
        const unsigned pair = started(row % 8 * 4 + k % 8 / 2).left[row / 8 + k / 8 * 2];
        a[row][k] = bfloat16_value(static_cast<std::uint16_t>(pair >> (16 * (k % 2))));
      } else {
        a[row][k] = from_rows(left, 16 * warp + row, k, site);
      }
    }
  for (int column = 0; column < product.columns; ++column) {
    float b[kInner];
    for (int k = 0; k < kInner; ++k)
      b[k] = registers ? from_columns(right, column, k, site) : from_rows(right, column, k, site);
    for (int row = 0; row < 16; ++row) {
      float sum = 0;
      for (int k = 0; k < kInner; ++k) sum += a[row][k] * b[k];
      // "Register Fragments" of D.
      const int lane = row % 8 * 4 + column % 8 / 2;
      float& target = started(lane).product.sums[column / 8 * 4 + row / 8 * 2 + column % 2];
      target = (product.add ? target : 0.0f) + sum;
    }
  }
}

void combine_products(const LaneRequest* lanes, unsigned) {
  const auto due = *static_cast<const std::size_t*>(lanes[0].input);
  for (int lane = 1; lane < 32; ++lane)
    if (*static_cast<const std::size_t*>(lanes[lane].input) != due)
      fail(ErrorKind::internal, "the lanes of a warp wait for different products");
  const Thread& first = *static_cast<Thread*>(lanes[0].output);
  std::vector<GroupProduct> made;
  for (std::size_t i = 0; i < due; ++i) made.push_back(first.products.at(i).product);
  Block::current().group_waits().add(first.number / kWarpSize, made);
  for (std::size_t i = 0; i < due; ++i) {
    for (int lane = 0; lane < 32; ++lane) {
      const GroupProducts::Started& started = static_cast<Thread*>(lanes[lane].output)->products.at(i);
      std::copy(started.before.begin(), started.before.end(), started.product.sums);
    }
    multiply(lanes, i, static_cast<int>(first.number / kWarpSize % 4), first.site);
  }
  for (int lane = 0; lane < 32; ++lane) static_cast<Thread*>(lanes[lane].output)->products.drop(due);
}

}  // namespace

void GroupProducts::begin(const void* registers, std::size_t bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(registers);
  begun_.push_back({first, first + bytes});
}

bool GroupProducts::begun(const void* registers, std::size_t bytes) const {
  const auto first = reinterpret_cast<std::uintptr_t>(registers);
  return std::any_of(begun_.begin(), begun_.end(), [&](const Registers& known) {
    return known.first <= first && first + bytes <= known.last;
  });
}

void GroupProducts::add(const GroupProduct& product) {
  Started started{product, {}, {}};
  if (product.left) std::copy_n(product.left, 4, started.left);
  const bool held = std::any_of(started_.begin(), started_.end(),
                                [&](const Started& earlier) { return earlier.product.sums == product.sums; });
  const std::size_t sums = static_cast<std::size_t>(product.columns) / 2 * sizeof(float);
  if ((!held && !begun(product.sums, sums)) || (product.left && !begun(product.left, sizeof started.left)))
    fail(ErrorKind::internal, "a product of a warp group starts on registers without begin_products");
  if (!held) {
    float* const end = product.sums + product.columns / 2;
    started.before.assign(product.sums, end);
    std::fill(product.sums, end, std::numeric_limits<float>::quiet_NaN());
  }
  started_.push_back(std::move(started));
}

std::size_t GroupProducts::due(std::size_t pending_groups) const {
  return group_ends_.size() <= pending_groups ? 0 : group_ends_[group_ends_.size() - pending_groups - 1];
}

void GroupProducts::drop(std::size_t products) {
  started_.erase(started_.begin(), started_.begin() + static_cast<std::ptrdiff_t>(products));
  group_ends_.erase(group_ends_.begin(), std::find_if(group_ends_.begin(), group_ends_.end(),
                                                      [&](std::size_t end) { return end > products; }));
  for (std::size_t& end : group_ends_) end -= products;
  begun_.clear();
}

void GroupProducts::clear() {
  started_.clear();
  group_ends_.clear();
  begun_.clear();
}

void GroupWaits::add(unsigned warp, const std::vector<GroupProduct>& products) {
  if (groups_.size() <= warp / kWarps) groups_.resize(warp / kWarps + 1);
  Group& group = groups_[warp / kWarps];
  const std::size_t wait = group.waits[warp % kWarps]++;
  if (wait == group.products.size()) group.products.push_back(products);
  const std::vector<GroupProduct>& known = group.products[wait];
  if (!std::equal(known.begin(), known.end(), products.begin(), products.end(), same_product))
    fail(ErrorKind::internal, "the warps of a warp group wait for different products");
}

void GroupWaits::check_ends() const {
  for (const Group& group : groups_)
    for (const std::size_t waits : group.waits)
      if (waits != group.waits[0])
        fail(ErrorKind::internal, "the warps of a warp group wait for products ", group.waits[0], " and ",
             waits, " times");
}

void begin_products(const void* registers, std::size_t bytes) {
  Block::current().thread().products.begin(registers, bytes);
}
void start_product(const GroupProduct& product) { Block::current().thread().products.add(product); }
void commit_products() { Block::current().thread().products.commit(); }
void wait_products(int pending_groups, Site site) {
  static constexpr Collective kProducts{"wgmma.wait_group", &combine_products};
  Thread& thread = Block::current().thread();
  const std::size_t due = thread.products.due(static_cast<std::size_t>(pending_groups));
  warp_collective(kProducts, 0xffffffffu, {&due, &thread}, site);
}

}  // namespace omni::shim
