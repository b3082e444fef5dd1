#include "omni/kernels/device_graph.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <array>
#include <exception>
#include <filesystem>

#include "cuda/graph_interface.h"
#include "cuda/library_symbol.h"
#include "omni/core/error.h"
#include "omni/kernels/cuda_plugin.h"

namespace omni::kernels {
namespace {

struct GraphLibrary {
  OmniCudaGraphCaptureFunction capture = nullptr;
  OmniCudaGraphReplayFunction replay = nullptr;
  OmniCudaGraphDestroyFunction destroy = nullptr;
  std::string refusal;
};

GraphLibrary load() {
  GraphLibrary library;
  if (!gpu_refusal().empty()) {
    library.refusal = gpu_refusal();
    return library;
  }
  const std::string file =
      std::filesystem::path(cuda_plugin_status().detail).replace_filename("libomni_cuda_graph.so").string();
  void* opened = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    library.refusal = concat("the plug-in's library of graphs cannot be loaded: ", ::dlerror());
    return library;
  }
  OmniCudaGraphInterfaceFunction version = nullptr;
  const bool found = find_symbol(opened, "omni_cuda_graph_interface", version) &&
                     version() == kOmniCudaGraphInterface &&
                     find_symbol(opened, "omni_cuda_graph_capture", library.capture) &&
                     find_symbol(opened, "omni_cuda_graph_replay", library.replay) &&
                     find_symbol(opened, "omni_cuda_graph_destroy", library.destroy);
  if (!found) library.refusal = concat(file, " belongs to another version of omni; rebuild it");
  return library;
}

const GraphLibrary& graph_library() {
  static const GraphLibrary library = load();
  return library;
}

// The work of a capture, behind a C function: what it throws waits here.
struct CapturedWork {
  const std::function<void()>& work;
  std::exception_ptr thrown;

  static std::int32_t run(void* context) {
    auto& own = *static_cast<CapturedWork*>(context);
    try {
      own.work();
      return 0;
    } catch (...) {
      own.thrown = std::current_exception();
      return 1;
    }
  }
};

[[noreturn]] void refuse(const char* what, const std::string& reason) {
  throw DeviceGraphRefusal(concat("a graph of the GPU's launches cannot be ", what, ": ", reason));
}

}  // namespace

DeviceGraph::DeviceGraph(c10::Device device) : device_(device) {
  if (!device.is_cuda()) refuse("made", concat(device.str(), " is no GPU"));
  if (const std::string& refusal = graph_library().refusal; !refusal.empty()) refuse("made", refusal);
  if (!device_.has_index()) device_ = c10::impl::VirtualGuardImpl(device_.type()).getDevice();
}

DeviceGraph::~DeviceGraph() {
  if (graph_ != nullptr) graph_library().destroy(graph_);
}

void DeviceGraph::capture(const std::function<void()>& work) {
  ensure(!captured(), "a graph is captured once");
  const c10::impl::VirtualGuardImpl guard(device_.type());
  // What is under way on other streams is done then, and nothing of it joins the graph.
  guard.synchronizeDevice(device_.index());
  // The graph's memory is its own: what the same work took before is given back for it.
  c10::getDeviceAllocator(device_.type())->emptyCache({0, 0});
  const c10::StreamGuard stream(guard.getStreamFromGlobalPool(device_));
  CapturedWork own{work, nullptr};
  std::array<char, 2048> message{};
  const std::int32_t error =
      graph_library().capture(&CapturedWork::run, &own, &graph_, message.data(), message.size());
  try {
    if (own.thrown) std::rethrow_exception(own.thrown);
  } catch (const c10::OutOfMemoryError&) {
    throw;  // which is no fault of the work
  } catch (const c10::Error& refused) {
    refuse("recorded", refused.what_without_backtrace());
  }
  if (error != 0) refuse("recorded", message.data());
}

void DeviceGraph::replay() const {
  ensure(captured(), "there is no graph yet");
  std::array<char, 2048> message{};
  if (graph_library().replay(graph_, message.data(), message.size()) != 0) refuse("launched", message.data());
}

}  // namespace omni::kernels
