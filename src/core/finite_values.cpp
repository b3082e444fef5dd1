#include "omni/core/finite_values.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "omni/core/error.h"
#include "omni/core/parallel.h"

namespace omni {
namespace {

// Bytes of a mapped file may lie anywhere.
template <class Bits>
Bits bits_at(const std::byte* bytes, std::int64_t index) {
  Bits bits;
  std::memcpy(&bits, bytes + static_cast<std::size_t>(index) * sizeof(Bits), sizeof(Bits));
  return bits;
}

// No early end inside, so that the loop becomes vector instructions.
template <class Bits>
bool all_finite(const std::byte* bytes, std::int64_t begin, std::int64_t end, Bits exponent) {
  Bits others = 0;
  for (std::int64_t i = begin; i < end; ++i)
    others |= static_cast<Bits>((bits_at<Bits>(bytes, i) & exponent) == exponent ? 1 : 0);
  return others == 0;
}

template <class Bits>
std::optional<std::int64_t> first_of(const TensorView& view, Bits exponent) {
  constexpr std::int64_t kGrain = std::int64_t{1} << 22, kBlock = 4096;
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  const std::byte* bytes = view.bytes.data();
  std::atomic<std::int64_t> first{kNone};
  const auto look = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t from = begin; from < end && from < first; from += kBlock) {
      const std::int64_t to = std::min(end, from + kBlock);
      if (all_finite(bytes, from, to, exponent)) continue;
      std::int64_t own = from;
      while ((bits_at<Bits>(bytes, own) & exponent) != exponent) ++own;
      for (std::int64_t known = first; own < known && !first.compare_exchange_weak(known, own);) {
      }
      return;
    }
  };
  // Most tensors are small: asking for cores takes longer than these.
  if (const std::int64_t count = view.element_count(); count <= kGrain)
    look(0, count);
  else
    parallel_for(count, kGrain, look);
  return first == kNone ? std::nullopt : std::optional(first.load());
}

// How a value that is not finite is called.
template <class Bits>
const char* name_of(Bits bits, Bits exponent) {
  const auto sign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  if ((bits & static_cast<Bits>(~(sign | exponent))) != 0) return "nan";
  return (bits & sign) != 0 ? "-inf" : "inf";
}

// action(bits of the exponent) for elements of that type, all ones in which are infinite or not a number; `otherwise` for
// those that are whole.
template <class Result, class Action>
Result with_exponent(DType dtype, const Action& action, Result otherwise) {
  switch (dtype) {
    case DType::f64:
      return action(std::uint64_t{0x7ff0000000000000});
    case DType::f32:
      return action(std::uint32_t{0x7f800000});
    case DType::f16:
      return action(std::uint16_t{0x7c00});
    case DType::bf16:
      return action(std::uint16_t{0x7f80});
    default:
      return otherwise;
  }
}

}  // namespace

std::optional<std::int64_t> first_not_finite(const TensorView& view) {
  return with_exponent(
      view.dtype, [&](auto exponent) { return first_of(view, exponent); }, std::optional<std::int64_t>());
}

void require_finite(const TensorView& view, const std::string& tensor, const std::string& file) {
  const std::optional<std::int64_t> first = first_not_finite(view);
  if (!first) return;
  const char* name = with_exponent(
      view.dtype,
      [&](auto exponent) {
        return name_of(bits_at<decltype(exponent)>(view.bytes.data(), *first), exponent);
      },
      "finite");
  std::string shape;
  for (const std::int64_t side : view.shape) shape += concat(shape.empty() ? "" : ", ", side);
  fail(ErrorKind::input, "reading '", file, "': element ", *first, " of the tensor '", tensor, "' of shape [",
       shape, "] is ", name, ", but weights are finite. Take the file anew from where it came");
}

}  // namespace omni
