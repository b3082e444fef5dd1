#include "packed_attention_backward_keys.cuh"
#include "packed_attention_backward_queries.cuh"
#include "packed_attention_backward_rows.cuh"
#include "packed_attention_shapes.cuh"

namespace omni::cuda {
namespace {

unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

template <class T, int kHead, KeyPass kPass>
int launch_keys(const OmniCudaAttentionBackward& b, void* stream) {
  using Shape = KeyShape<T, kHead>;
  const OmniCudaAttention& a = b.forward;
  if (a.key_rows == 0) return kSuccess;
  const dim3 grid(blocks_for(a.key_rows, Shape::kKeys), static_cast<unsigned>(a.key_value_heads));
  constexpr int kBytes =
      kPass == KeyPass::both_and_query ? Shape::kSharedBytesWithQuery : Shape::kSharedBytes;
  return OMNI_LAUNCH((attention_key_gradient<T, kHead, kPass>), grid, dim3(Shape::kThreads), kBytes, stream,
                     b);
}

template <class T, int kHead>
int launch_queries(const OmniCudaAttentionBackward& b, void* stream) {
  using Shape = QueryShape<T, kHead>;
  const dim3 grid(blocks_for(b.forward.query_rows, Shape::kQueries), static_cast<unsigned>(b.forward.heads));
  return OMNI_LAUNCH((attention_query_gradient<T, kHead>), grid, dim3(Shape::kThreads), Shape::kSharedBytes,
                     stream, b);
}

// Keys, values and queries by kernels of their own: the same bits in every run.
template <class T, int kHead>
int run_deterministic(const OmniCudaAttentionBackward& b, void* stream) {
  int status = kSuccess;
  if constexpr (KeyShape<T, kHead>::kLarge) {
    status = launch_keys<T, kHead, KeyPass::values>(b, stream);
    if (status == kSuccess) status = launch_keys<T, kHead, KeyPass::keys>(b, stream);
  } else {
    status = launch_keys<T, kHead, KeyPass::both>(b, stream);
  }
  if (status != kSuccess || b.forward.query_rows == 0) return status;
  return launch_queries<T, kHead>(b, stream);
}

// One kernel for all three, which adds the queries' gradient atomically in fp32.
template <class T, int kHead>
int run_atomic(const OmniCudaAttentionBackward& b, void* stream) {
  const std::int64_t numbers =
      static_cast<std::int64_t>(b.forward.query_rows) * b.forward.heads * b.forward.head_size;
  int status = kSuccess;
  if (numbers > 0)
    status = fill_zero(b.query_sums, static_cast<std::size_t>(numbers) * sizeof(float), stream);
  if (status == kSuccess) status = launch_keys<T, kHead, KeyPass::both_and_query>(b, stream);
  if (status != kSuccess || numbers == 0) return status;
  return OMNI_LAUNCH(attention_round_query_sums<T>, dim3(blocks_for(numbers / 8, kRowThreads)),
                     dim3(kRowThreads), 0, stream, b);
}

struct LaunchBackward {
  template <class T, int kHead>
  static int run(const OmniCudaAttentionBackward& b, void* stream) {
    const std::int64_t rows = static_cast<std::int64_t>(b.forward.query_rows) * b.forward.heads;
    if (rows > 0) {
      const int status =
          OMNI_LAUNCH(attention_row_numbers<T>, dim3(blocks_for(rows, kRowThreads / kDeltaLanes)),
                      dim3(kRowThreads), 0, stream, b);
      if (status != kSuccess) return status;
    }
    if constexpr (!KeyShape<T, kHead>::kLarge)
      if (b.query_sums) return run_atomic<T, kHead>(b, stream);
    return run_deterministic<T, kHead>(b, stream);
  }
};

// The most shared memory that any kernel of a shape asks for.
struct SharedBytes {
  template <class T, int kHead>
  static int run() {
    const int keys = KeyShape<T, kHead>::kLarge ? KeyShape<T, kHead>::kSharedBytes
                                                : KeyShape<T, kHead>::kSharedBytesWithQuery;
    const int queries = QueryShape<T, kHead>::kSharedBytes;
    return keys > queries ? keys : queries;
  }
};

bool counts_fit(const OmniCudaAttention& a) {
  return a.query_rows >= 0 && a.key_rows >= 0 && a.heads > 0 && a.heads <= kMaximumBlocksY &&
         a.key_value_heads > 0 && a.heads % a.key_value_heads == 0 && a.head_size > 0 &&
         a.head_size % 8 == 0 && a.scale > 0;
}

}  // namespace
}  // namespace omni::cuda

extern "C" std::int32_t omni_cuda_attention_supports(const OmniCudaAttention* arguments) {
  using namespace omni::cuda;
  const OmniCudaAttention& a = *arguments;
  if (!counts_fit(a) || !is_aligned(a.query) || !is_aligned(a.key) || !is_aligned(a.value)) return 0;
  const int bytes = for_shape<SharedBytes>(a.type, a.head_size);
  return bytes > 0 && bytes <= maximum_shared_bytes() ? 1 : 0;
}

extern "C" std::int32_t omni_cuda_attention_atomic(std::int32_t head_size) {
  return head_size <= 128 ? 1 : 0;
}

extern "C" std::int32_t omni_cuda_attention_backward(const OmniCudaAttentionBackward* arguments,
                                                     void* stream) {
  using namespace omni::cuda;
  const OmniCudaAttentionBackward& b = *arguments;
  if (!omni_cuda_attention_supports(&b.forward) || !is_aligned(b.forward.output) ||
      !is_aligned(b.output_gradient) || !is_aligned(b.query_gradient) || !is_aligned(b.key_gradient) ||
      !is_aligned(b.value_gradient) || !is_aligned(b.row_numbers) || !is_aligned(b.query_sums))
    return kOmniCudaUnsupported;
  return for_shape<LaunchBackward>(b.forward.type, b.forward.head_size, b, stream);
}
