#include "omni/kernels/embedding.h"

#include <torch/csrc/autograd/custom_function.h>

#include <vector>

#include "cuda/cuda_embedding.h"
#include "cuda/cuda_launch.h"
#include "gradients.h"
#include "omni/core/error.h"
#include "omni/kernels/linear_products.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What is embedded, beside the tensors that are trained.
struct EmbeddedRows : torch::CustomClassHolder {
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

class EmbedFunction : public torch::autograd::Function<EmbedFunction> {
 public:
  // trained: the table, then the projection of each codebook.
  static Tensor forward(AutogradContext* context, at::TensorList trained,
                        const c10::intrusive_ptr<EmbeddedRows>& rows) {
    context->save_for_backward(trained.vec());
    context->saved_data["rows"] = c10::IValue::make_capsule(rows);
    if (rows->fused) {
      const Tensor embedded = cuda_gather(trained[0], rows->indices);
      for (const EmbeddedCodes& own : rows->codes) cuda_add_code_shares(embedded, own);
      return embedded;
    }
    const Tensor embedded = trained[0].index_select(0, rows->indices);
    for (const EmbeddedCodes& own : rows->codes)
      add_rows(embedded, own.positions, at::mm(codebook_rows(own), own.projection.t()));
    return embedded;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto capsule = context->saved_data["rows"].toCapsule();
    const auto& rows = static_cast<const EmbeddedRows&>(*capsule);
    const Tensor incoming = gradients[0].contiguous();
    variable_list result(rows.codes.size() + 2);
    if (context->needs_input_grad(0)) {
      const Tensor gradient = gradient_of(context->get_saved_variables()[0]);
      rows.fused ? cuda_add_rows(gradient, rows.indices, incoming)
                 : add_rows(gradient, rows.indices, incoming);
    }
    for (std::size_t i = 0; i < rows.codes.size(); ++i) {
      if (!context->needs_input_grad(i + 1)) continue;
      const EmbeddedCodes& own = rows.codes[i];
      if (rows.fused) {
        result[i + 1] = cuda_projection_gradient(incoming, own);
        continue;
      }
      result[i + 1] = linear_weight_gradient(incoming.index_select(0, own.positions), codebook_rows(own));
    }
    return result;
  }
};

}  // namespace

Tensor embed(const Tensor& table, const Tensor& indices, std::span<const EmbeddedCodes> codes,
             KernelPath path) {
  ensure(!table.requires_grad() || table.is_leaf(), "embedding: a table that is trained must be a leaf");
  auto rows = c10::make_intrusive<EmbeddedRows>();
  rows->fused = takes_fused_kernel(table, path, "embedding");
  rows->indices = indices;
  rows->codes.assign(codes.begin(), codes.end());
  std::vector<Tensor> trained = {table};
  for (const EmbeddedCodes& own : codes) trained.push_back(own.projection);
  return EmbedFunction::apply(at::TensorList(trained), rows);
}

}  // namespace omni::kernels
