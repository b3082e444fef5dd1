#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "instruction_set.h"
#include "packed_attention_schedule.h"

namespace omni::kernels {

inline constexpr std::int64_t kWidestHead = 512;  // that the CPU kernels have buffers for

// Raw views for the CPU attention kernels. Elements are fp32, or bf16 as 16 bits; rows are `*_stride`
// elements apart and hold their heads side by side, head_size elements each.
struct AttentionInputs {
  bool bf16 = false;
  const void* query = nullptr;
  const void* key = nullptr;
  const void* value = nullptr;
  std::int64_t query_stride = 0, key_stride = 0, value_stride = 0;
  std::int64_t heads = 0, key_value_heads = 0, head_size = 0;  // head_size: a multiple of 16
  // What each row sees, and how that is cut into work.
  const std::int32_t* key_first = nullptr;
  const std::int32_t* key_last = nullptr;
  const AttentionSchedule* schedule = nullptr;
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

  // A task is one chunk of rows and one key-value head.
  std::int64_t task_count() const {
    return static_cast<std::int64_t>(schedule->chunks.size()) * key_value_heads;
  }
  // A task of the backward pass's second step: one island of several chunks and one key-value head.
  std::int64_t shared_task_count() const {
    return static_cast<std::int64_t>(schedule->shared.size()) * key_value_heads;
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
  // [task_count + shared_task_count, groups, head_size], zeroed by the caller: one part per task, those of
  // the second step last.
  float* query_norm = nullptr;
  float* key_norm = nullptr;
  // Sums over the rows of one chunk: [key_value_heads, partial_rows, head_size] of the schedule.
  float* key_partial = nullptr;
  float* value_partial = nullptr;
};

// Each thread calls the kernel with the same counter of tasks that somebody has begun, and is given tasks
// until none is left. Tasks write disjoint memory.
struct AttentionKernels {
  void (*forward)(const AttentionInputs&, const AttentionOutputs&, std::atomic<std::int64_t>& next_task);
  void (*backward)(const AttentionInputs&, const AttentionGradients&, std::atomic<std::int64_t>& next_task);
  // After every task of `backward`: adds up the partial sums.
  void (*backward_shared)(const AttentionInputs&, const AttentionGradients&,
                          std::atomic<std::int64_t>& next_task);
};
AttentionKernels attention_kernels(bool bf16, InstructionSet level = bf16_instruction_set());

}  // namespace omni::kernels
