#pragma once

#include <cstdint>

#include "hopper_ptx.h"
#include "packed_attention_interface.h"

#ifndef OMNI_HOST_SHIM

namespace omni::cuda {

// The driver's function that makes maps, asked for once; null where it has none. Nothing links the driver.
inline decltype(&cuTensorMapEncodeTiled) tensor_map_encoder() {
  static const auto encoder = [] {
    constexpr unsigned kFirstDriver = 12000;
    void* found = nullptr;
    cudaDriverEntryPointQueryResult answer{};
    const int error = take_error(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found,
                                                                  kFirstDriver, cudaEnableDefault, &answer));
    return error == kSuccess && answer == cudaDriverEntryPointSuccess
               ? reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(found)
               : nullptr;
  }();
  return encoder;
}

// Fills `map` for bulk copies of boxes of `box_rows` rows and kPanelColumns columns of one head, with 128-byte
// swizzle and zeros outside of [rows, heads, head_size]. 0, or kOmniCudaUnsupported where the driver has no such
// maps or takes none of these strides.
inline int make_tensor_map(TensorMap& map, const OmniCudaHeads& tensor, std::int32_t rows, std::int32_t heads,
                           std::int32_t head_size, int box_rows) {
  if (!tensor_map_encoder()) return kOmniCudaUnsupported;
  // The stride of a dimension of one place says nothing, and may be anything.
  constexpr std::int64_t kSmallestStride = 8;
  const auto stride_bytes = [](std::int32_t count, std::int64_t stride) {
    return static_cast<cuuint64_t>(2 * (count > 1 ? stride : kSmallestStride));
  };
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(head_size), static_cast<cuuint64_t>(heads),
                               static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[2] = {stride_bytes(heads, tensor.head_stride),
                                 stride_bytes(rows, tensor.row_stride)};
  const cuuint32_t box[3] = {kPanelColumns, 1, static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[3] = {1, 1, 1};
  const CUresult made =
      tensor_map_encoder()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, tensor.data, sizes, strides, box, steps,
                           CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                           CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return made == CUDA_SUCCESS ? kSuccess : kOmniCudaUnsupported;
}

// Whether this library was built with code of sm_90a.
constexpr bool holds_hopper_code() {
#ifdef OMNI_HOPPER_CODE
  return true;
#else
  return false;
#endif
}

// Whether the current device runs this library's code of sm_90a.
inline bool is_hopper() {
  if (!holds_hopper_code()) return false;
  int device = 0, major = 0, minor = 0;
  const bool known =
      cudaGetDevice(&device) == cudaSuccess &&
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess;
  if (!known) cudaGetLastError();
  return known && major == 9 && minor == 0;
}

}  // namespace omni::cuda

#endif
