#include "omni/kernels/cuda_decode_attention.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "cuda_launch.h"
#include "omni/core/error.h"

namespace omni::kernels {
namespace {

using at::Tensor;

OmniCudaCacheType cache_type_of(const Tensor& keys) {
  if (keys.scalar_type() == at::kChar) return kOmniCudaCacheInt8;
  return keys.scalar_type() == at::kByte ? kOmniCudaCacheFp8 : kOmniCudaCacheLikeQuery;
}

void check_shapes(const CudaDecodeAttention& call) {
  const Tensor &q = call.query, &k = call.keys;
  ensure(q.dim() == 3 && k.dim() == 4 && k.sizes() == call.values.sizes() && q.size(2) == k.size(3) &&
             q.size(1) % k.size(1) == 0 && k.is_contiguous() && call.values.is_contiguous() &&
             k.scalar_type() == call.values.scalar_type(),
         "decode attention: query, keys and values do not fit together");
  ensure(call.rows.sizes() == at::IntArrayRef({q.size(0), 6}) && call.rows.scalar_type() == at::kInt,
         "decode attention: one place per row");
  if (cache_type_of(k) == kOmniCudaCacheLikeQuery) return;
  for (const Tensor* scales : {&call.key_scales, &call.value_scales})
    ensure(scales->defined() && scales->sizes() == k.sizes().slice(0, 3) &&
               scales->scalar_type() == at::kFloat && scales->is_contiguous(),
           "decode attention: a cache of bytes needs one scale per head and token");
}

OmniCudaDecodeAttention arguments_of(const CudaDecodeAttention& call) {
  OmniCudaDecodeAttention a{};
  a.query = call.query.const_data_ptr();
  a.keys = call.keys.const_data_ptr();
  a.values = call.values.const_data_ptr();
  a.key_scales = call.key_scales.defined() ? call.key_scales.const_data_ptr<float>() : nullptr;
  a.value_scales = call.value_scales.defined() ? call.value_scales.const_data_ptr<float>() : nullptr;
  a.rows = static_cast<const OmniCudaDecodeRow*>(call.rows.const_data_ptr());
  a.query_stride = call.query.stride(0);
  a.room = call.keys.size(2);
  a.row_count = static_cast<std::int32_t>(call.query.size(0));
  a.heads = static_cast<std::int32_t>(call.query.size(1));
  a.key_value_heads = static_cast<std::int32_t>(call.keys.size(1));
  a.head_size = static_cast<std::int32_t>(call.query.size(2));
  a.keys_per_split = static_cast<std::int32_t>(call.keys_per_split);
  a.maximum_splits = static_cast<std::int32_t>(call.maximum_splits);
  a.type = call.query.scalar_type() == at::kHalf ? kOmniCudaFloat16 : kOmniCudaBfloat16;
  a.cache_type = cache_type_of(call.keys);
  a.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.head_size)));
  return a;
}

}  // namespace

void check_cuda_decode_places(std::span<const CudaDecodePlace> places, std::int64_t heads_per_key,
                              std::int64_t keys_per_split) {
  const auto count = static_cast<std::int64_t>(places.size());
  for (std::int64_t i = 0; i < count; ++i) {
    const CudaDecodePlace& p = places[static_cast<std::size_t>(i)];
    ensure(p.sequence >= 0 && p.position >= 0 && p.group_rows >= 1 && p.group_first >= 0 &&
               p.group_first <= i && i < std::int64_t{p.group_first} + p.group_rows &&
               p.group_first + p.group_rows <= count && p.shared >= 0 && p.shared % keys_per_split == 0 &&
               p.shared <= p.position + 1 && p.holder >= 0 &&
               p.group_rows * heads_per_key <= kOmniCudaMostGroupQueries,
           "decode attention: row ", i, " has an impossible place");
    const CudaDecodePlace& first = places[static_cast<std::size_t>(p.group_first)];
    ensure(first.group_first == p.group_first && first.group_rows == p.group_rows &&
               first.shared == p.shared && first.holder == p.holder,
           "decode attention: the rows of a group differ in what they share");
  }
}

Tensor cuda_decode_rows(std::span<const CudaDecodePlace> places, std::int64_t heads_per_key,
                        std::int64_t keys_per_split, const at::Device& device) {
  static_assert(sizeof(CudaDecodePlace) == 6 * sizeof(std::int32_t) &&
                sizeof(OmniCudaDecodeRow) == sizeof(CudaDecodePlace));
  check_cuda_decode_places(places, heads_per_key, keys_per_split);
  const auto count = static_cast<std::int64_t>(places.size());
  Tensor host = at::empty({count, 6}, at::kInt);
  std::memcpy(host.mutable_data_ptr(), places.data(), places.size_bytes());
  return host.to(device);
}

std::string cuda_decode_refusal(const CudaDecodeAttention& call) {
  check_shapes(call);
  if (!call.query.is_cuda()) return "the tensors are not on a CUDA device";
  if (!cuda_plugin().status.loaded)
    return concat("the CUDA plug-in is not loaded: ", cuda_plugin().status.detail);
  if (call.query.scalar_type() != at::kBFloat16 && call.query.scalar_type() != at::kHalf)
    return concat("there is no kernel for ", c10::toString(call.query.scalar_type()));
  if (cache_type_of(call.keys) == kOmniCudaCacheLikeQuery &&
      call.keys.scalar_type() != call.query.scalar_type())
    return concat("there is no kernel for a cache of ", c10::toString(call.keys.scalar_type()));
  if (call.query.stride(2) != 1 || (call.query.size(1) > 1 && call.query.stride(1) != call.query.size(2)))
    return "the heads of a query are not side by side";
  const c10::DeviceGuard on(call.query.device());
  const OmniCudaDecodeAttention arguments = arguments_of(call);
  if (!cuda_plugin().decode_attention_supports(&arguments))
    return concat("there is no kernel for ", c10::toString(call.query.scalar_type()), " at head size ",
                  call.query.size(2), " over a cache of ", c10::toString(call.keys.scalar_type()),
                  ", or these strides, or this device");
  return {};
}

void cuda_cache_write(const Tensor& new_keys, const Tensor& new_values, const CudaDecodeAttention& call) {
  const std::string refusal = cuda_decode_refusal(call);
  ensure(refusal.empty(), "cache: ", refusal);
  // The stride of a dimension of one entry says nothing.
  const auto strides_fit = [&](const Tensor& x) {
    return x.stride(2) == 1 && (x.size(1) == 1 || x.stride(1) == x.size(2)) &&
           (x.size(0) == 1 || x.stride(0) == new_keys.stride(0));
  };
  for (const Tensor* x : {&new_keys, &new_values})
    ensure(x->dim() == 3 && x->size(0) == call.query.size(0) && x->size(1) == call.keys.size(1) &&
               x->size(2) == call.keys.size(3) && strides_fit(*x) &&
               x->scalar_type() == call.query.scalar_type() && x->device() == call.query.device(),
           "cache: new keys or values do not fit it");
  const auto scales = [](const Tensor& x) { return x.defined() ? x.mutable_data_ptr<float>() : nullptr; };
  OmniCudaCacheWrite a{};
  a.new_keys = new_keys.const_data_ptr();
  a.new_values = new_values.const_data_ptr();
  a.keys = call.keys.mutable_data_ptr();
  a.values = call.values.mutable_data_ptr();
  a.key_scales = scales(call.key_scales);
  a.value_scales = scales(call.value_scales);
  a.rows = static_cast<const OmniCudaDecodeRow*>(call.rows.const_data_ptr());
  a.row_stride = new_keys.stride(0);
  a.room = call.keys.size(2);
  a.row_count = static_cast<std::int32_t>(new_keys.size(0));
  a.key_value_heads = static_cast<std::int32_t>(new_keys.size(1));
  a.head_size = static_cast<std::int32_t>(new_keys.size(2));
  a.type = call.query.scalar_type() == at::kHalf ? kOmniCudaFloat16 : kOmniCudaBfloat16;
  a.cache_type = cache_type_of(call.keys);
  const at::Device device = call.query.device();
  const c10::DeviceGuard on(device);
  const int error = cuda_plugin().cache_write(&a, current_stream(device));
  ensure(error == 0, "cache: the GPU refused to write it: error ", error);
}

Tensor cuda_decode_workspace(const CudaDecodeAttention& call) {
  const OmniCudaDecodeAttention a = arguments_of(call);
  return at::zeros({cuda_plugin().decode_attention_workspace(&a)}, call.query.options().dtype(at::kByte));
}

Tensor cuda_decode_attention(const CudaDecodeAttention& call, const Tensor& workspace) {
  const std::string refusal = cuda_decode_refusal(call);
  ensure(refusal.empty(), "decode attention: ", refusal);
  OmniCudaDecodeAttention a = arguments_of(call);
  ensure(workspace.numel() >= cuda_plugin().decode_attention_workspace(&a),
         "decode attention: too small a workspace");
  Tensor output = at::empty(call.query.sizes(), call.query.options());
  a.output = output.mutable_data_ptr();
  a.workspace = workspace.mutable_data_ptr();
  const at::Device device = call.query.device();
  const c10::DeviceGuard on(device);
  const int error = cuda_plugin().decode_attention(&a, current_stream(device));
  ensure(error == 0, "decode attention: the GPU has no kernel for this call or refused it: error ", error);
  return output;
}

}  // namespace omni::kernels
