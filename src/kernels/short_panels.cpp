#include "short_panels.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "cpu/decode_linear_kernels.h"

namespace omni::kernels {
namespace {

using at::Tensor;

constexpr std::int64_t kNumbersPerException = 256;  // fewer, and they would take the time that is saved
constexpr std::int64_t kFilledUp = 64;  // bytes, so that what follows in a file lies as well as this

constexpr int kUpperBytes = 256;
using UpperTable = std::array<std::uint8_t, kShortTable>;

std::int64_t filled_up(std::int64_t count, std::int64_t bytes_each) {
  const std::int64_t several = kFilledUp / bytes_each;
  return (count + several - 1) / several * several;
}

UpperTable commonest_upper_bytes(std::span<const std::uint16_t> words) {
  std::array<std::int64_t, kUpperBytes> counts{};
  for (const std::uint16_t word : words) ++counts[word >> 8];
  std::array<std::uint8_t, kUpperBytes> order{};
  std::iota(order.begin(), order.end(), std::uint8_t{0});
  std::partial_sort(order.begin(), order.begin() + kShortTable, order.end(),
                    [&](std::uint8_t a, std::uint8_t b) { return counts[a] > counts[b]; });
  UpperTable table{};
  std::copy_n(order.begin(), kShortTable, table.begin());
  return table;
}

// One block, whose words are followed by zeros up to whole units.
std::vector<ShortException> shorten(std::span<const std::uint16_t> words, std::uint8_t* units,
                                    std::uint8_t* table) {
  const UpperTable upper = commonest_upper_bytes(words);
  std::copy(upper.begin(), upper.end(), table);
  std::array<std::int16_t, kUpperBytes> codes{};
  codes.fill(-1);
  for (std::int16_t code = 0; code < kShortTable; ++code) codes[upper[code]] = code;
  std::vector<ShortException> exceptions;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const std::int64_t step = at % kUnitWords / kStepWords, place = short_place(at % kStepWords);
    std::uint8_t* unit = units + at / kUnitWords * kUnitBytes;
    unit[step * kStepWords + place] = static_cast<std::uint8_t>(words[i]);
    const std::int16_t code = codes[words[i] >> 8];
    unit[2 * kStepWords + place] |= static_cast<std::uint8_t>(std::max<std::int16_t>(code, 0) << 4 * step);
    if (code < 0) exceptions.push_back({static_cast<std::int32_t>(at), words[i]});
  }
  return exceptions;
}

Tensor zeros(at::IntArrayRef sizes, at::ScalarType type) { return at::zeros(sizes, at::TensorOptions(type)); }

}  // namespace

std::optional<DecodePanels> shortened(const Tensor& panels) {
  const std::int64_t blocks = panels.size(0), words = panels.size(1) * kStepWords;
  const std::int64_t units = (panels.size(1) + 1) / 2;
  DecodePanels made;
  made.panels = zeros({blocks, units, kUnitBytes}, at::kByte);
  made.tables = zeros({filled_up(blocks, kShortTable), kShortTable}, at::kByte);
  made.starts = zeros({filled_up(blocks + 1, sizeof(std::int32_t))}, at::kInt);
  std::vector<std::vector<ShortException>> exceptions(static_cast<std::size_t>(blocks));
  const auto* source = static_cast<const std::uint16_t*>(panels.const_data_ptr());
  auto* bytes = made.panels.mutable_data_ptr<std::uint8_t>();
  auto* tables = made.tables.mutable_data_ptr<std::uint8_t>();
  at::parallel_for(0, blocks, 1, [&](std::int64_t first, std::int64_t last) {
    std::vector<std::uint16_t> own(static_cast<std::size_t>(units * kUnitWords));
    for (std::int64_t block = first; block < last; ++block) {
      std::copy_n(source + block * words, words, own.begin());
      exceptions[block] = shorten(own, bytes + block * units * kUnitBytes, tables + block * kShortTable);
    }
  });
  auto* starts = made.starts.mutable_data_ptr<std::int32_t>();
  std::int64_t count = 0;
  for (std::int64_t block = 0; block < blocks; ++block) {
    count += static_cast<std::int64_t>(exceptions[block].size());
    if (count * kNumbersPerException > blocks * words) return {};
    starts[block + 1] = static_cast<std::int32_t>(count);
  }
  // Never empty: in a file an empty tensor would lie where the next one does.
  made.exceptions = zeros({filled_up(std::max<std::int64_t>(count, 1), sizeof(ShortException)), 2}, at::kInt);
  auto* listed = static_cast<ShortException*>(made.exceptions.mutable_data_ptr());
  for (const auto& own : exceptions) listed = std::copy(own.begin(), own.end(), listed);
  return made;
}

bool are_short_panels(const DecodePanels& panels, std::int64_t blocks, std::int64_t inputs) {
  const auto is = [](const Tensor& tensor, at::ScalarType type, at::IntArrayRef sizes) {
    return tensor.defined() && tensor.device().is_cpu() && tensor.is_contiguous() &&
           tensor.scalar_type() == type && tensor.sizes() == sizes;
  };
  const std::int64_t units = (inputs + kUnitInputs - 1) / kUnitInputs;
  if (!is(panels.panels, at::kByte, {blocks, units, kUnitBytes}) ||
      !is(panels.tables, at::kByte, {filled_up(blocks, kShortTable), kShortTable}) ||
      !is(panels.starts, at::kInt, {filled_up(blocks + 1, sizeof(std::int32_t))}) ||
      !panels.exceptions.defined() || panels.exceptions.dim() != 2 ||
      !is(panels.exceptions, at::kInt, {panels.exceptions.size(0), 2}))
    return false;
  const auto* starts = panels.starts.const_data_ptr<std::int32_t>();
  const auto* exceptions = static_cast<const ShortException*>(panels.exceptions.const_data_ptr());
  if (starts[0] != 0) return false;
  for (std::int64_t block = 0; block < blocks; ++block) {
    if (starts[block + 1] < starts[block] || starts[block + 1] > panels.exceptions.size(0)) return false;
    std::int64_t before = -1;
    for (std::int64_t i = starts[block]; i < starts[block + 1]; ++i) {
      if (exceptions[i].place <= before || exceptions[i].place >= units * kUnitWords) return false;
      before = exceptions[i].place;
    }
  }
  return true;
}

ShortPanels view_of(const DecodePanels& panels) {
  if (!panels.tables.defined()) return {};
  return {panels.panels.const_data_ptr<std::uint8_t>(), panels.panels.size(1),
          panels.tables.const_data_ptr<std::uint8_t>(), panels.starts.const_data_ptr<std::int32_t>(),
          static_cast<const ShortException*>(panels.exceptions.const_data_ptr())};
}

}  // namespace omni::kernels
