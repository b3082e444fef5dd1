#pragma once

#include <string>

#include "nccl_interface.h"

namespace omni::distributed {

// NCCL, loaded: its functions. It stays loaded until the process ends, as a GPU library must.
struct NcclLibrary {
  std::string file;
  int version = 0;  // 22809 is 2.28.9
  nccl::GetUniqueId* get_unique_id = nullptr;
  nccl::CommInitRank* comm_init_rank = nullptr;
  nccl::CommDestroy* comm_destroy = nullptr;
  nccl::CommAbort* comm_abort = nullptr;
  nccl::CommGetAsyncError* comm_get_async_error = nullptr;
  nccl::GetErrorString* get_error_string = nullptr;
  nccl::GetLastError* get_last_error = nullptr;
  nccl::AllReduce* all_reduce = nullptr;
  nccl::ReduceScatter* reduce_scatter = nullptr;
  nccl::AllGather* all_gather = nullptr;
  nccl::Broadcast* broadcast = nullptr;
};

// Looks at OMNI_NCCL, where it is set; else where the loader looks, then beside LibTorch, as its wheels lie.
// Throws Error(usage), which says where it looked, where there is none or too old a one.
NcclLibrary load_nccl();

}  // namespace omni::distributed
