#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>

namespace omni::kernels {

// Causal attention inside each document of a packed batch: softmax(q k^T / sqrt(head_dim)) v over the
// document's earlier positions and itself (Vaswani et al. 2017, arXiv 1706.03762), in blocks with an online
// softmax (Dao et al. 2022, arXiv 2205.14135). Differentiable in q, k and v.
//   query            [N, heads, head_dim]            fp32 or bf16, CPU or CUDA; last dimension contiguous
//   key, value       [N, key_value_heads, head_dim]  heads must be a multiple of key_value_heads
//   document_starts  one per document and N at the end, ascending from 0
// Returns [N, heads, head_dim] in the dtype of query. Products accumulate in fp32. On the CPU the result
// depends on neither the thread count nor the other documents of the batch.
at::Tensor packed_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            std::span<const std::int64_t> document_starts);

// The same through plain tensor operations, document by document: the reference for tests, and the path for
// head sizes and devices without a kernel.
at::Tensor packed_attention_reference(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                      std::span<const std::int64_t> document_starts);

}  // namespace omni::kernels
