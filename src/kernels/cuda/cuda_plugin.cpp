#include "plugin_functions.h"

#include <ATen/Context.h>
#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "library_symbol.h"
#include "omni/core/error.h"

namespace omni::kernels {
namespace {

constexpr int kOldestGpu = 8;  // its compute capability's first number

std::vector<std::string> candidates() {
  if (const char* chosen = std::getenv("OMNI_CUDA_PLUGIN")) return {chosen};
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<std::string> paths;
  if (!error) {
    paths.push_back((program / "libomni_cuda.so").string());
    paths.push_back((program / "../lib/libomni_cuda.so").string());
    paths.push_back((program / "../libomni_cuda.so").string());  // of a test, from its build folder
  }
  paths.emplace_back("libomni_cuda.so");
  return paths;
}

bool find_kernels(void* library, CudaPlugin& plugin) {
  return find_symbol(library, "omni_cuda_device", plugin.device) &&
         find_symbol(library, "omni_cuda_add_norm", plugin.add_norm) &&
         find_symbol(library, "omni_cuda_attention_forward", plugin.attention_forward) &&
         find_symbol(library, "omni_cuda_attention_backward", plugin.attention_backward) &&
         find_symbol(library, "omni_cuda_attention_supports", plugin.attention_supports) &&
         find_symbol(library, "omni_cuda_attention_atomic", plugin.attention_atomic) &&
         find_symbol(library, "omni_cuda_token_sampling", plugin.token_sampling) &&
         find_symbol(library, "omni_cuda_token_sampling_workspace", plugin.token_sampling_workspace) &&
         find_symbol(library, "omni_cuda_cache_write", plugin.cache_write) &&
         find_symbol(library, "omni_cuda_decode_attention", plugin.decode_attention) &&
         find_symbol(library, "omni_cuda_decode_attention_supports", plugin.decode_attention_supports) &&
         find_symbol(library, "omni_cuda_decode_attention_workspace", plugin.decode_attention_workspace) &&
         find_symbol(library, "omni_cuda_decode_launch", plugin.decode_launch) &&
         find_symbol(library, "omni_cuda_decode_capture", plugin.decode_capture) &&
         find_symbol(library, "omni_cuda_decode_graph_launch", plugin.decode_graph_launch) &&
         find_symbol(library, "omni_cuda_decode_destroy", plugin.decode_destroy) &&
         find_training_kernels(library, plugin.training) &&
         find_hopper_attention(library, plugin.hopper_attention);
}

CudaPlugin load() {
  CudaPlugin plugin;
  for (const std::string& file : candidates()) {
    void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      if (plugin.status.detail.empty()) plugin.status.detail = ::dlerror();
      continue;
    }
    OmniCudaInterfaceFunction interface_version = nullptr;
    OmniCudaDeviceCountFunction device_count = nullptr;
    const bool found = find_symbol(library, "omni_cuda_interface", interface_version) &&
                       interface_version() == kOmniCudaInterface &&
                       find_symbol(library, "omni_cuda_device_count", device_count) &&
                       find_kernels(library, plugin);
    if (!found) {
      plugin = {};
      plugin.status.detail = concat(file, " belongs to another version of omni; rebuild it");
      ::dlclose(library);
      continue;
    }
    plugin.status = {true, device_count(), file};
    return plugin;
  }
  return plugin;
}

// LibTorch's CUDA half makes itself known when it is loaded. It lies beside the half that the program links,
// and stays for the life of the program.
std::string find_gpu() {
  const CudaPluginStatus& plugin = cuda_plugin_status();
  if (!plugin.loaded) return concat("the CUDA plug-in is not there: ", plugin.detail);
  if (plugin.devices == 0) return "there is no GPU";
  if (!::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL))
    return concat("LibTorch's CUDA half cannot be loaded (tools/setup.sh fetches what it needs): ",
                  ::dlerror());
  return at::globalContext().hasCUDA() ? "" : "LibTorch sees no GPU";
}

}  // namespace

const CudaPlugin& cuda_plugin() {
  static const CudaPlugin plugin = load();
  return plugin;
}

const CudaPluginStatus& cuda_plugin_status() { return cuda_plugin().status; }

const std::string& gpu_refusal() {
  static const std::string refusal = find_gpu();
  return refusal;
}

void require_gpu(std::string_view work) {
  if (gpu_refusal().empty()) return;
  fail(ErrorKind::usage, work, " on the device cuda: ", gpu_refusal(),
       ". Choose the device cpu, or see `omni info system`");
}

std::string GpuDescription::text() const { return concat(name, " (sm_", major, minor, ")"); }

GpuDescription describe_gpu(int device) {
  OmniCudaDevice told{.device = device, .name = {}, .major = 0, .minor = 0};
  const std::int32_t error = cuda_plugin().device != nullptr ? cuda_plugin().device(&told) : -1;
  ensure(error == 0, "the GPU ", device, " cannot be asked for its kind (CUDA error ", error, ")");
  return {told.name, told.major, told.minor};
}

void require_capable_gpu(std::string_view work, int device) {
  require_gpu(work);
  const GpuDescription gpu = describe_gpu(device);
  if (gpu.major >= kOldestGpu) return;
  fail(ErrorKind::usage, work, " on GPU ", device, ", ", gpu.text(), ": omni's kernels need a GPU of sm_",
       kOldestGpu, "0 (A100) or newer. Name another in CUDA_VISIBLE_DEVICES, or choose the device cpu");
}

}  // namespace omni::kernels
