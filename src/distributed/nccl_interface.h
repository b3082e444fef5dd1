#pragma once

#include <array>
#include <cstddef>

namespace omni::distributed::nccl {

// The part of NCCL's C interface that is used here, declared after NCCL's documentation: the library is loaded at
// run time, where there are GPUs. Unchanged in every NCCL 2.

constexpr std::size_t kUniqueIdBytes = 128;
// Passed by value, so it must have no constructor.
struct UniqueId {
  std::array<char, kUniqueIdBytes> bytes;
};
struct Communicator;  // opaque

enum class Result : int {
  success = 0,
  unhandled_cuda_error = 1,
  system_error = 2,
  internal_error = 3,
  invalid_argument = 4,
  invalid_usage = 5,
  remote_error = 6,
  in_progress = 7,
};
enum class DataType : int {
  int8 = 0,
  uint8 = 1,
  int32 = 2,
  int64 = 4,
  float16 = 6,
  float32 = 7,
  float64 = 8,
  bfloat16 = 9,
};
enum class Operator : int { sum = 0, maximum = 2 };
using Stream = void*;  // a cudaStream_t

using GetVersion = Result(int* version);
using GetUniqueId = Result(UniqueId* id);
using CommInitRank = Result(Communicator** communicator, int ranks, UniqueId id, int rank);
using CommDestroy = Result(Communicator* communicator);
using CommAbort = Result(Communicator* communicator);
using CommGetAsyncError = Result(Communicator* communicator, Result* error);
using GetErrorString = const char*(Result result);
using GetLastError = const char*(Communicator* communicator);
// Counts are of values; of reduce_scatter and all_gather, of one rank's part.
using AllReduce = Result(const void* send, void* receive, std::size_t count, DataType type,
                         Operator reduction, Communicator* communicator, Stream stream);
using ReduceScatter = AllReduce;
using AllGather = Result(const void* send, void* receive, std::size_t count, DataType type,
                         Communicator* communicator, Stream stream);
using Broadcast = Result(const void* send, void* receive, std::size_t count, DataType type, int root,
                         Communicator* communicator, Stream stream);

}  // namespace omni::distributed::nccl
