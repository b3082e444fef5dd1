#include "omni/model/agreement.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>

#include "omni/core/error.h"

namespace omni::model {
namespace {

using at::Tensor;

void require_shape(const std::string& name, const Tensor& found, const Tensor& expected) {
  if (found.sizes() != expected.sizes())
    fail(ErrorKind::input, "comparing ", name, ": the expected ones have the shape ", expected.sizes(),
         ", the model gives ", found.sizes(), ". Give the outputs that belong to these weights");
}

}  // namespace

void Agreement::compare_values(const std::string& name, const Tensor& found, const Tensor& expected) {
  const c10::NoGradGuard guard;
  require_shape(name, found, expected);
  ValueAgreement agreement{.name = name, .count = expected.numel(), .place = {}};
  if (agreement.count > 0) {
    const Tensor mine = found.to(at::kDouble).flatten(), theirs = expected.to(at::kDouble).flatten();
    constexpr double kNone = std::numeric_limits<double>::infinity();
    const Tensor difference = (mine - theirs).abs().nan_to_num(kNone, kNone, kNone);
    std::int64_t place = difference.argmax().item<std::int64_t>();
    agreement.largest = difference[place].item<double>();
    agreement.expected = theirs[place].item<double>();
    agreement.found = mine[place].item<double>();
    for (std::int64_t d = expected.dim(); d-- > 0; place /= expected.size(d))
      agreement.place.insert(agreement.place.begin(), place % expected.size(d));
  }
  values.push_back(std::move(agreement));
}

void Agreement::compare_sequences(const std::string& name, const Tensor& found, const Tensor& expected) {
  require_shape(name, found, expected);
  SequenceAgreement agreement{.name = name, .count = expected.numel(), .first_other = {}};
  for (std::int64_t row = 0; row < expected.size(0); ++row)
    for (std::int64_t place = 0; place < expected.size(1); ++place) {
      const auto theirs = expected[row][place].item<std::int64_t>(),
                 mine = found[row][place].item<std::int64_t>();
      if (mine == theirs)
        ++agreement.equal;
      else if (!agreement.first_other)
        agreement.first_other = {row, place, theirs, mine};
    }
  sequences.push_back(std::move(agreement));
}

bool Agreement::holds() const {
  const auto good = [](const auto& one) { return one.holds(); };
  return !(values.empty() && sequences.empty()) && std::all_of(values.begin(), values.end(), good) &&
         std::all_of(sequences.begin(), sequences.end(), good);
}

}  // namespace omni::model
