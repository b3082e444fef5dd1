#include "omni/distributed/collectives.h"

#include <ATen/core/grad_mode.h>

#include "omni/core/error.h"

namespace omni::distributed {
namespace {

void check_values(const char* call, const at::Tensor& values) {
  ensure(values.defined() && values.is_contiguous(), call, " takes contiguous tensors");
}

void check_reducible(const char* call, const at::Tensor& values) {
  const at::ScalarType type = values.scalar_type();
  ensure(type == at::kFloat || type == at::kDouble || type == at::kLong, call, " cannot reduce ",
         c10::toString(type));
}

void check_parts(const char* call, const at::Tensor& whole, const at::Tensor& part, int size) {
  check_values(call, whole);
  check_values(call, part);
  ensure(part.scalar_type() == whole.scalar_type() && part.device() == whole.device(), call,
         " takes tensors of one type and device");
  ensure(part.numel() * size == whole.numel(), call, ": ", size, " parts of ", part.numel(),
         " values do not make ", whole.numel());
}

// Engines write through pointers, of which LibTorch knows nothing.
void raise_version(const at::Tensor& written) { written.unsafeGetTensorImpl()->bump_version(); }

void copy_values(const at::Tensor& from, const at::Tensor& to) {
  if (from.const_data_ptr() == to.const_data_ptr()) return;
  const at::NoGradGuard no_gradient;
  to.view(-1).copy_(from.view(-1));
}

class LoneCollectives final : public Collectives {
 public:
  LoneCollectives() : Collectives(0, 1) {}
  void abort(const CollectiveError& /*reason*/) override {}

 private:
  Pending start_all_reduce(const at::Tensor& /*values*/, Reduction /*reduction*/) override { return {}; }
  Pending start_reduce_scatter(const at::Tensor& whole, const at::Tensor& part,
                               Reduction /*reduction*/) override {
    copy_values(whole, part);
    return {};
  }
  Pending start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    copy_values(part, whole);
    return {};
  }
  Pending start_broadcast(const at::Tensor& /*values*/, int /*root*/) override { return {}; }
  Pending start_barrier() override { return {}; }
};

}  // namespace

Pending Collectives::all_reduce(const at::Tensor& values, Reduction reduction) {
  check_values("all_reduce", values);
  check_reducible("all_reduce", values);
  raise_version(values);
  ++calls_;
  return start_all_reduce(values, reduction);
}

Pending Collectives::reduce_scatter(const at::Tensor& whole, const at::Tensor& part, Reduction reduction) {
  check_parts("reduce_scatter", whole, part, size_);
  check_reducible("reduce_scatter", whole);
  raise_version(part);
  ++calls_;
  return start_reduce_scatter(whole, part, reduction);
}

Pending Collectives::all_gather(const at::Tensor& part, const at::Tensor& whole) {
  check_parts("all_gather", whole, part, size_);
  raise_version(whole);
  ++calls_;
  return start_all_gather(part, whole);
}

Pending Collectives::broadcast(const at::Tensor& values, int root) {
  check_values("broadcast", values);
  ensure(root >= 0 && root < size_, "broadcast from rank ", root, " of ", size_);
  raise_version(values);
  ++calls_;
  return start_broadcast(values, root);
}

void Collectives::barrier() {
  ++calls_;
  start_barrier().wait();
}

std::unique_ptr<Collectives> make_lone_collectives() { return std::make_unique<LoneCollectives>(); }

}  // namespace omni::distributed
