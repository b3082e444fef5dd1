#include "omni/kernels/embedding.h"

#include <vector>

#include "cuda/cuda_embedding.h"
#include "cuda/cuda_launch.h"
#include "gradients.h"
#include "omni/core/error.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/linear_products.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// What is embedded, beside the tensors that are trained.
struct EmbeddedRows {
  Tensor indices;
  std::vector<EmbeddedCodes> codes;
  bool fused = false;  // by the kernels of the GPU's plug-in
};

// [k, dimension], zeros where there is no code.
Tensor codebook_rows(const EmbeddedCodes& own) {
  if (own.all_there) return own.codebook.index_select(0, own.codes);
  Tensor rows = own.codebook.index_select(0, own.codes.clamp_min(0));
  return rows.masked_fill_(own.codes.lt(0).unsqueeze(1), 0);
}

// Of the table, then the projection of each codebook.
class EmbedFunction : public GradientFunction {
 public:
  explicit EmbedFunction(EmbeddedRows rows) : rows_(std::move(rows)) {}

  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& trained) const override {
    context.save(trained);
    if (rows_.fused) {
      const Tensor embedded = cuda_gather(trained[0], rows_.indices);
      for (const EmbeddedCodes& own : rows_.codes) cuda_add_code_shares(embedded, own);
      return {embedded};
    }
    const Tensor embedded = trained[0].index_select(0, rows_.indices);
    for (const EmbeddedCodes& own : rows_.codes)
      add_rows(embedded, own.positions, at::mm(codebook_rows(own), own.projection.t()));
    return {embedded};
  }
  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const ProfiledRange profiled("omni::embedding_backward");
    const Tensor incoming = gradients[0].contiguous();
    std::vector<Tensor> result(rows_.codes.size() + 1);
    if (context.needs_gradient(0)) {
      const Tensor gradient = gradient_of(context.saved()[0]);
      rows_.fused ? cuda_add_rows(gradient, rows_.indices, incoming)
                  : add_rows(gradient, rows_.indices, incoming);
    }
    for (std::size_t i = 0; i < rows_.codes.size(); ++i) {
      if (!context.needs_gradient(i + 1)) continue;
      const EmbeddedCodes& own = rows_.codes[i];
      if (rows_.fused) {
        result[i + 1] = cuda_projection_gradient(incoming, own);
        continue;
      }
      result[i + 1] = linear_weight_gradient(incoming.index_select(0, own.positions), codebook_rows(own));
    }
    return result;
  }

 private:
  EmbeddedRows rows_;
};

}  // namespace

Tensor embed(const Tensor& table, const Tensor& indices, std::span<const EmbeddedCodes> codes,
             KernelPath path) {
  ensure(!table.requires_grad() || table.is_leaf(), "embedding: a table that is trained must be a leaf");
  EmbeddedRows rows;
  rows.fused = takes_fused_kernel(table, path, "embedding");
  rows.indices = indices;
  rows.codes.assign(codes.begin(), codes.end());
  std::vector<Tensor> trained = {table};
  for (const EmbeddedCodes& own : codes) trained.push_back(own.projection);
  return apply_with_gradient(std::make_unique<EmbedFunction>(std::move(rows)), trained).front();
}

}  // namespace omni::kernels
