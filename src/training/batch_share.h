#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "omni/distributed/collectives.h"
#include "omni/kernels/tensor.h"
#include "omni/nn/quantisers.h"
#include "omni/tokenizers/code_use.h"

namespace omni::training {

// Which samples of each batch a rank takes: the batch is cut into runs of samples, one for each rank in their
// order. What one rank does with a whole batch, several do with their parts of it; whatever is drawn for its
// samples is drawn for all of them, everywhere.
class BatchShare {
 public:
  // `key` of the config names the batch's size. Throws Error(usage) where there are more ranks than samples. The
  // collectives must outlive it.
  BatchShare(std::string key, std::int64_t batch, distributed::Collectives& collectives);

  const std::string& key() const { return key_; }
  std::int64_t batch() const { return batch_; }
  std::int64_t first() const { return first_of(collectives_->rank()); }
  std::int64_t count() const { return first_of(collectives_->rank() + 1) - first(); }
  // Of this rank's mean over its samples in the mean over the batch.
  double weight() const { return static_cast<double>(count()) / static_cast<double>(batch_); }

  // This rank's samples of [batch, ...].
  at::Tensor own(const at::Tensor& whole) const { return whole.narrow(0, first(), count()); }
  // [count x k, ...], k rows a sample, to the rows of the whole batch [batch x k, ...] on every rank, without graph.
  at::Tensor gather(const at::Tensor& own) const;
  void sum(const at::Tensor& values) const;  // over the ranks, in place
  // The same of numbers, and of codes that each rank has counted; `device` is the collectives'.
  void sum(std::vector<double>& numbers, at::Device device) const;
  void sum(tokenizers::CodeUse& use, std::int64_t vocabulary, at::Device device) const;
  // For quantisers that learn from the samples' vectors. It must outlive them.
  nn::SharedVectors vectors() const;

 private:
  std::int64_t first_of(int rank) const { return batch_ * rank / collectives_->size(); }

  std::string key_;
  std::int64_t batch_;
  distributed::Collectives* collectives_;
};

}  // namespace omni::training
