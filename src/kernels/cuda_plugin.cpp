#include "cuda_plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "omni/core/error.h"

namespace omni::kernels {
namespace {

std::vector<std::string> candidates() {
  if (const char* chosen = std::getenv("OMNI_CUDA_PLUGIN")) return {chosen};
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<std::string> paths;
  if (!error) {
    paths.push_back((program / "libomni_cuda.so").string());
    paths.push_back((program / "../lib/libomni_cuda.so").string());
  }
  paths.emplace_back("libomni_cuda.so");
  return paths;
}

template <class Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(::dlsym(library, name));
}

CudaPlugin load() {
  CudaPlugin plugin;
  for (const std::string& path : candidates()) {
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      if (plugin.status.detail.empty()) plugin.status.detail = ::dlerror();
      continue;
    }
    const auto interface_version = symbol<OmniCudaInterfaceFunction>(library, "omni_cuda_interface");
    const auto device_count = symbol<OmniCudaDeviceCountFunction>(library, "omni_cuda_device_count");
    plugin.add_norm = symbol<OmniCudaAddNormFunction>(library, "omni_cuda_add_norm");
    if (!interface_version || !device_count || !plugin.add_norm ||
        interface_version() != kOmniCudaInterface) {
      plugin = {};
      plugin.status.detail = concat(path, " belongs to another version of omni; rebuild it");
      ::dlclose(library);
      continue;
    }
    plugin.status = {true, device_count(), path};
    return plugin;
  }
  return plugin;
}

}  // namespace

const CudaPlugin& cuda_plugin() {
  static const CudaPlugin plugin = load();
  return plugin;
}

const CudaPluginStatus& cuda_plugin_status() { return cuda_plugin().status; }

}  // namespace omni::kernels
