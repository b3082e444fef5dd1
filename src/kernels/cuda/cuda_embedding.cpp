#include "cuda_embedding.h"

#include "cuda_launch.h"

namespace omni::kernels {
namespace {

using at::Tensor;

const float* numbers(const Tensor& x) {
  ensure(x.is_contiguous(), "embedding: a tensor is not contiguous");
  return x.const_data_ptr<float>();
}
const std::int64_t* indices_of(const Tensor& x) {
  ensure(x.is_contiguous(), "embedding: indices are not contiguous");
  return x.const_data_ptr<std::int64_t>();
}

}  // namespace

Tensor cuda_gather(const Tensor& table, const Tensor& indices) {
  const Tensor output = at::empty({indices.size(0), table.size(1)}, table.options().requires_grad(false));
  OmniCudaGather a{};
  a.table = numbers(table);
  a.indices = indices_of(indices);
  a.output = output.mutable_data_ptr<float>();
  a.count = indices.size(0);
  a.width = table.size(1);
  launch_cuda(table, "embedding", cuda_plugin().training.gather, a);
  return output;
}

void cuda_add_code_shares(const Tensor& rows, const EmbeddedCodes& codes) {
  OmniCudaCodeShares a{};
  a.codebook = numbers(codes.codebook);
  a.projection = numbers(codes.projection);
  a.positions = indices_of(codes.positions);
  a.codes = indices_of(codes.codes);
  a.output = rows.mutable_data_ptr<float>();
  a.count = codes.positions.size(0);
  a.width = rows.size(1);
  a.dimension = codes.codebook.size(1);
  launch_cuda(rows, "embedding of codes", cuda_plugin().training.code_shares, a);
}

void cuda_add_rows(const Tensor& gradient, const Tensor& indices, const Tensor& rows) {
  Tensor sorted = at::empty_like(indices), order = at::empty_like(indices);
  // Equal ones stay in their order.
  at::sort_out(sorted, order, indices, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  const std::int64_t count = indices.size(0), width = rows.size(1);
  const Tensor partial =
      at::empty({(count + kOmniCudaRowWindow - 1) / kOmniCudaRowWindow, width}, rows.options());
  ensure(gradient.stride(1) == 1 && gradient.size(1) == width, "embedding: the gradient has other rows");
  OmniCudaAddRows a{};
  a.rows = numbers(rows);
  a.sorted = indices_of(sorted);
  a.order = indices_of(order);
  a.gradient = gradient.mutable_data_ptr<float>();
  a.partial = partial.mutable_data_ptr<float>();
  a.count = count;
  a.width = width;
  a.stride = gradient.stride(0);
  launch_cuda(rows, "the embedding's gradient", cuda_plugin().training.add_rows, a);
}

Tensor cuda_projection_gradient(const Tensor& rows, const EmbeddedCodes& codes) {
  const std::int64_t count = codes.positions.size(0), width = rows.size(1),
                     dimension = codes.codebook.size(1);
  const Tensor gradient = at::empty({width, dimension}, rows.options());
  const Tensor partial =
      at::empty({(count + kOmniCudaCodeWindow - 1) / kOmniCudaCodeWindow, width, dimension}, rows.options());
  OmniCudaCodeGradient a{};
  a.rows = numbers(rows);
  a.codebook = numbers(codes.codebook);
  a.positions = indices_of(codes.positions);
  a.codes = indices_of(codes.codes);
  a.gradient = gradient.mutable_data_ptr<float>();
  a.partial = partial.mutable_data_ptr<float>();
  a.count = count;
  a.width = width;
  a.dimension = dimension;
  launch_cuda(rows, "the gradient of a codebook's projection", cuda_plugin().training.code_gradient, a);
  return gradient;
}

}  // namespace omni::kernels
