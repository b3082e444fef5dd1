#include "head_rotation.cuh"

#include "column_sums.cuh"

namespace {

using namespace omni::cuda;

template <class T, int kPairs>
int launch_forward(const OmniCudaHeadRotation& a, void* stream) {
  const std::int64_t heads = a.rows * (a.heads + a.key_value_heads);
  const dim3 grid(blocks_over(heads, kRotationWarps));
  return OMNI_LAUNCH(head_rotation<T, kPairs>, grid, dim3(kRotationThreads), 0, stream, a);
}

template <class T, int kPairs>
int launch_backward(const OmniCudaHeadRotationGradient& b, void* stream) {
  const OmniCudaHeadRotation& a = b.forward;
  const unsigned blocks = blocks_over(a.rows, kOmniCudaRotationRows);
  const std::int64_t weights = 2 * static_cast<std::int64_t>(a.groups) * a.head_size;
  const std::int64_t shared =
      b.norm_gradients ? kRotationWarps * weights * static_cast<std::int64_t>(sizeof(float)) : 0;
  if (shared > maximum_shared_bytes()) return kOmniCudaUnsupported;
  const int status = OMNI_LAUNCH(head_rotation_gradient<T, kPairs>, dim3(blocks), dim3(kRotationThreads),
                                 static_cast<std::size_t>(shared), stream, b);
  if (status != kSuccess || !b.norm_gradients) return status;
  return launch_column_sums(b.partial, b.norm_gradients, blocks, weights, stream);
}

// run<T, pairs of a lane>() of the smallest that covers the head.
template <class Run>
int for_head(const OmniCudaHeadRotation& a, const Run& run) {
  const auto of_type = [&](auto element) {
    using T = decltype(element);
    const int pairs = a.head_size / 2;
    if (pairs <= kWarp) return run.template operator()<T, 1>();
    if (pairs <= 2 * kWarp) return run.template operator()<T, 2>();
    if (pairs <= 4 * kWarp) return run.template operator()<T, 4>();
    return run.template operator()<T, 8>();
  };
  if (a.head_size % 2 != 0 || a.head_size <= 0 || a.head_size > 16 * kWarp) return kOmniCudaUnsupported;
  if (a.type == kOmniCudaBfloat16) return of_type(__nv_bfloat16());
  return a.type == kOmniCudaFloat ? of_type(0.0f) : kOmniCudaUnsupported;
}

struct Forward {
  const OmniCudaHeadRotation& arguments;
  void* stream;
  template <class T, int kPairs>
  int operator()() const {
    return launch_forward<T, kPairs>(arguments, stream);
  }
};
struct Backward {
  const OmniCudaHeadRotationGradient& arguments;
  void* stream;
  template <class T, int kPairs>
  int operator()() const {
    return launch_backward<T, kPairs>(arguments, stream);
  }
};

}  // namespace

extern "C" std::int32_t omni_cuda_head_rotation(const OmniCudaHeadRotation* arguments, void* stream) {
  if (arguments->rows == 0) return kSuccess;
  return for_head(*arguments, Forward{*arguments, stream});
}
extern "C" std::int32_t omni_cuda_head_rotation_gradient(const OmniCudaHeadRotationGradient* arguments,
                                                         void* stream) {
  const OmniCudaHeadRotation& a = arguments->forward;
  if (a.rows == 0)
    return arguments->norm_gradients
               ? fill_zero(arguments->norm_gradients, 2 * sizeof(float) * a.groups * a.head_size, stream)
               : kSuccess;
  return for_head(a, Backward{*arguments, stream});
}
