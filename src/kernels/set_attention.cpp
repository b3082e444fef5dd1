#include "omni/kernels/set_attention.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "attention_path.h"
#include "cpu/cpu_packed_attention.h"
#include "omni/core/error.h"
#include "omni/kernels/matrix_tiles.h"

namespace omni::kernels {
namespace {

using at::Tensor;

AttentionWork work_of_causal_sets(std::int64_t sets, std::int64_t rows) {
  std::vector<std::int64_t> starts;
  for (std::int64_t s = 0; s <= sets; ++s) starts.push_back(s * rows);
  return work_of(AttentionSpans::causal(starts));
}

// PyTorch's attention multiplies bf16 by the processor's tiles; ours saves more where gradients are wanted.
bool library_is_faster(const Tensor& query, const Tensor& key, const Tensor& value) {
  const bool gradients =
      at::GradMode::is_enabled() && (query.requires_grad() || key.requires_grad() || value.requires_grad());
  return has_matrix_tiles() && query.scalar_type() == at::kBFloat16 && !gradients;
}

}  // namespace

Tensor set_attention(const Tensor& query, const Tensor& key, const Tensor& value, bool causal) {
  ensure(query.dim() == 4 && key.dim() == 4 && key.sizes() == value.sizes() && query.size(0) == key.size(0) &&
             query.size(2) == key.size(2) && query.size(3) == key.size(3) &&
             (!causal || query.size(1) == key.size(1)),
         "attention: sets of queries ", query.sizes(), ", keys ", key.sizes(), " and values ", value.sizes(),
         " do not fit together");
  const std::int64_t sets = query.size(0), rows = query.size(1), keys = key.size(1);
  const bool countable = sets * std::max(rows, keys) <= std::numeric_limits<std::int32_t>::max();
  if (!query.device().is_cpu() || !countable || library_is_faster(query, key, value) ||
      !kernel_refusal(query, key, value).empty()) {
    const auto heads_first = [](const Tensor& x) { return x.transpose(1, 2); };
    return at::scaled_dot_product_attention(heads_first(query), heads_first(key), heads_first(value), {}, 0.0,
                                            causal)
        .transpose(1, 2);
  }
  AttentionWork work = causal ? work_of_causal_sets(sets, rows) : work_of_sets(sets, rows, keys);
  return cpu_attention(query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), std::move(work))
      .view(query.sizes());
}

}  // namespace omni::kernels
