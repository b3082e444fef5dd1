#include "omni/kernels/packed_attention.h"

#include "attention_path.h"
#include "cpu/cpu_packed_attention.h"
#include "cuda/cuda_packed_attention.h"
#include "cudnn_attention.h"
#include "omni/core/error.h"

namespace omni::kernels {

using at::Tensor;

Tensor packed_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                        const AttentionSpans& spans, AttentionPath path) {
  ensure(query.dim() == 3 && key.dim() == 3 && key.sizes() == value.sizes() && key.size(1) > 0 &&
             query.size(1) % key.size(1) == 0 && query.size(2) == key.size(2),
         "attention: queries ", query.sizes(), ", keys ", key.sizes(), " and values ", value.sizes(),
         " do not fit together");
  ensure(query.size(0) == spans.rows() && key.size(0) == spans.rows(), "attention: spans of ", spans.rows(),
         " rows for ", query.size(0), " queries and ", key.size(0), " keys");
  for (const Tensor* x : {&key, &value})
    ensure(x->scalar_type() == query.scalar_type() && x->device() == query.device(),
           "attention: queries, keys and values differ in type or device");
  switch (choose_attention_path(query, key, value, spans, path)) {
    case AttentionPath::library:
      return library_attention(query, key, value, spans);
    case AttentionPath::reference:
      return reference_attention(query, key, value, spans);
    case AttentionPath::hopper:
      return cuda_packed_attention(query, key, value, spans, CudaAttentionKernels::hopper);
    case AttentionPath::cudnn:
      return cudnn_attention(query, key, value, spans);
    default:
      break;
  }
  if (!query.device().is_cpu()) return cuda_packed_attention(query, key, value, spans);
  return cpu_attention(query, key, value, work_of(spans));
}

Tensor packed_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                        std::span<const std::int64_t> document_starts) {
  return packed_attention(query, key, value, AttentionSpans::causal(document_starts));
}

}  // namespace omni::kernels
