#include "nccl_library.h"

#include <ATen/core/Tensor.h>
#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "omni/core/error.h"

namespace omni::distributed {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "libnccl.so.2";
constexpr int kOldest = 21400;  // NCCL 2.14: errors can be asked for by ncclGetLastError

// .deps/libtorch/lib/libtorch_cpu.so and .deps/nvidia/nccl/lib/libnccl.so.2, or the same in a Python's site-packages.
fs::path beside_libtorch() {
  Dl_info library{};
  if (::dladdr(reinterpret_cast<void*>(&at::typeMetaToScalarType), &library) == 0 ||
      library.dli_fname == nullptr)
    return kName;
  std::error_code ignored;
  const fs::path folder = fs::canonical(library.dli_fname, ignored).parent_path();
  return folder / ".." / ".." / "nvidia" / "nccl" / "lib" / kName;
}

void* open_library(std::string& file) {
  std::vector<std::string> files;
  if (const char* set = std::getenv("OMNI_NCCL"))
    files = {set};
  else
    files = {kName, beside_libtorch().string()};
  std::string looked;
  for (const std::string& one : files) {
    if (void* library = ::dlopen(one.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      file = one;
      return library;
    }
    const char* reason = ::dlerror();
    looked += concat(looked.empty() ? "" : "; ", reason == nullptr ? one : reason);
  }
  fail(ErrorKind::usage, "training on several GPUs needs NCCL, which cannot be loaded: ", looked,
       ". Install the wheel nvidia-nccl-cu13 or set OMNI_NCCL to its libnccl.so.2");
}

template <class Function>
void find(void* library, const std::string& file, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  if (function == nullptr)
    fail(ErrorKind::usage, "loading NCCL: ", file, " has no ", name, ". Set OMNI_NCCL to NCCL 2.14 or newer");
}

}  // namespace

NcclLibrary load_nccl() {
  NcclLibrary nccl;
  void* const library = open_library(nccl.file);
  const auto get = [&](const char* name, auto*& function) { find(library, nccl.file, name, function); };
  nccl::GetVersion* get_version = nullptr;
  get("ncclGetVersion", get_version);
  get("ncclGetUniqueId", nccl.get_unique_id);
  get("ncclCommInitRank", nccl.comm_init_rank);
  get("ncclCommDestroy", nccl.comm_destroy);
  get("ncclCommAbort", nccl.comm_abort);
  get("ncclCommGetAsyncError", nccl.comm_get_async_error);
  get("ncclGetErrorString", nccl.get_error_string);
  get("ncclGetLastError", nccl.get_last_error);
  get("ncclAllReduce", nccl.all_reduce);
  get("ncclReduceScatter", nccl.reduce_scatter);
  get("ncclAllGather", nccl.all_gather);
  get("ncclBroadcast", nccl.broadcast);
  get_version(&nccl.version);
  if (nccl.version < kOldest)
    fail(ErrorKind::usage, "loading NCCL: ", nccl.file, " is version ", nccl.version,
         ". Set OMNI_NCCL to NCCL 2.14 or newer");
  return nccl;
}

}  // namespace omni::distributed
