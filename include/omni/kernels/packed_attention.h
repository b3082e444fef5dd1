#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "omni/kernels/attention_spans.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// How attention is computed. `automatic` takes what was measured to be fastest on such a GPU (nothing has been
// yet), else the first of `kernel`, `library` and `reference` that can run: the project's own kernel
// (CPU: fp32 and bf16, head sizes that are multiples of 16 up to 512; CUDA: the plug-in's, bf16 and fp16),
// PyTorch's scaled_dot_product_attention island by island (where every row sees its whole island or
// everything up to itself), plain tensor operations. `hopper` (the plug-in's kernels with the instructions of
// sm_90a: bf16, head sizes from 64 to 128) and `cudnn` (causal documents, bf16 and fp16, head sizes up to 128)
// have to be asked for. The reason is logged at debug level, once per kind. Asking for one that cannot run is
// Error(usage).
enum class AttentionPath { automatic, kernel, library, reference, hopper, cudnn };
AttentionPath parse_attention_path(std::string_view name);  // throws Error(usage)

// softmax(q k^T / sqrt(head_dim)) v over what the spans show (Vaswani et al. 2017, arXiv 1706.03762), in
// blocks with an online softmax (Dao et al. 2022, arXiv 2205.14135); blocks that nobody sees are skipped.
// Rows that see nothing give zeros. Differentiable in q, k and v.
//   query       [N, heads, head_dim]            N = spans.rows()
//   key, value  [N, key_value_heads, head_dim]  heads must be a multiple of key_value_heads
// Returns [N, heads, head_dim] in the dtype of query. Products accumulate in fp32; with bf16 inputs the
// kernel may round probabilities to bf16 before it multiplies them with the values. On the CPU the result
// depends on neither the thread count nor the other documents of the batch; on a GPU two runs give the same
// bits where PyTorch is told to be deterministic.
at::Tensor packed_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            const AttentionSpans& spans, AttentionPath path = AttentionPath::automatic);

// The same for causal documents: document_starts holds one entry per document and N at the end, ascending
// from 0.
at::Tensor packed_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            std::span<const std::int64_t> document_starts);

}  // namespace omni::kernels
