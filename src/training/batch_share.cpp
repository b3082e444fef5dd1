#include "batch_share.h"

#include <algorithm>
#include <utility>

#include "omni/core/error.h"

namespace omni::training {

using at::Tensor;

BatchShare::BatchShare(std::string key, std::int64_t batch, distributed::Collectives& collectives)
    : key_(std::move(key)), batch_(batch), collectives_(&collectives) {
  if (batch < collectives.size())
    fail(ErrorKind::usage, "training on ", collectives.size(), " ranks: a batch has ", batch,
         " samples, and there must be one for each. Raise ", key_, ", or take fewer ranks");
}

// Collective calls want parts of one size, so each is padded to the longest.
Tensor BatchShare::gather(const Tensor& own) const {
  const int ranks = collectives_->size();
  if (ranks == 1) return own;
  ensure(own.size(0) % count() == 0, own.size(0), " rows of ", count(), " samples");
  const std::int64_t rows = own.size(0) / count();
  std::int64_t most = 0;
  for (int rank = 0; rank < ranks; ++rank) most = std::max(most, first_of(rank + 1) - first_of(rank));
  std::vector<std::int64_t> shape = own.sizes().vec();
  shape[0] = most * rows;
  Tensor part = at::zeros(shape, own.options());
  part.narrow(0, 0, own.size(0)).copy_(own.detach());
  shape[0] *= ranks;
  const Tensor padded = at::empty(shape, own.options());
  collectives_->all_gather(part, padded).wait();
  std::vector<Tensor> parts;
  for (int rank = 0; rank < ranks; ++rank)
    parts.push_back(padded.narrow(0, rank * most * rows, (first_of(rank + 1) - first_of(rank)) * rows));
  return at::concat(parts);
}

void BatchShare::sum(const Tensor& values) const {
  if (collectives_->size() > 1) collectives_->all_reduce(values).wait();
}

void BatchShare::sum(std::vector<double>& numbers, at::Device device) const {
  if (collectives_->size() == 1) return;
  Tensor values = at::tensor(numbers, at::kDouble).to(device);
  sum(values);
  values = values.cpu();
  numbers.assign(values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel());
}

void BatchShare::sum(tokenizers::CodeUse& use, std::int64_t vocabulary, at::Device device) const {
  if (collectives_->size() == 1) return;
  const Tensor counts = use.counts(vocabulary).to(device);
  sum(counts);
  use = tokenizers::CodeUse::of_counts(counts);
}

nn::SharedVectors BatchShare::vectors() const {
  if (collectives_->size() == 1) return {};
  return {.sum = [this](const Tensor& own) { sum(own); },
          .gather = [this](const Tensor& own) { return gather(own); },
          .from_first = [this](const Tensor& own) { collectives_->broadcast(own, 0).wait(); }};
}

}  // namespace omni::training
