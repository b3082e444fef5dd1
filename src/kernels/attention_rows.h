#pragma once

#include <cstdint>
#include <span>

#include "cpu_dispatch.h"

namespace omni::kernels {

// Raw views for the CPU attention kernels. Elements are fp32, or bf16 as 16 bits; rows are `*_stride`
// elements apart and hold their heads side by side, head_size elements each. A task is one (document,
// key-value head): task = document * key_value_heads + head; tasks write disjoint memory.
struct AttentionInputs {
  bool bf16 = false;
  const void* query = nullptr;
  const void* key = nullptr;
  const void* value = nullptr;
  std::int64_t query_stride = 0, key_stride = 0, value_stride = 0;
  std::int64_t heads = 0, key_value_heads = 0, head_size = 0;  // head_size: a multiple of 16
  std::span<const std::int64_t> document_starts;
  // Rotation of queries and keys, if any: [rows, head_size / 2].
  const float* cosine = nullptr;
  const float* sine = nullptr;
  bool interleaved = false;
  // RMS norm of queries and keys before the rotation, if any: [groups, head_size], the row's group in
  // row_group.
  const float* query_norm = nullptr;
  const float* key_norm = nullptr;
  const std::uint8_t* row_group = nullptr;  // null: every row is in group 0
  std::int64_t groups = 1;
  float norm_epsilon = 0;

  std::int64_t task_count() const {
    return (static_cast<std::int64_t>(document_starts.size()) - 1) * key_value_heads;
  }
};

struct AttentionOutputs {
  void* output = nullptr;    // [rows, heads * head_size], contiguous
  float* log_sum = nullptr;  // [rows, heads]
};

struct AttentionGradients {
  const void* output = nullptr;           // as computed forward
  const void* output_gradient = nullptr;  // contiguous, like output
  const float* log_sum = nullptr;
  void* query = nullptr;
  void* key = nullptr;
  void* value = nullptr;
  std::int64_t query_stride = 0, key_stride = 0, value_stride = 0;
  float* query_norm = nullptr;  // [tasks, groups, head_size], zeroed by the caller
  float* key_norm = nullptr;
};

using AttentionForwardKernel = void (*)(const AttentionInputs&, const AttentionOutputs&,
                                        std::int64_t first_task, std::int64_t last_task);
using AttentionBackwardKernel = void (*)(const AttentionInputs&, const AttentionGradients&,
                                         std::int64_t first_task, std::int64_t last_task);
AttentionForwardKernel attention_forward_kernel(InstructionSet level = instruction_set());
AttentionBackwardKernel attention_backward_kernel(InstructionSet level = instruction_set());

}  // namespace omni::kernels
