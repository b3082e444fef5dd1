#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <string>

namespace omni::kernels {

// Work on a GPU that is recorded once, as a graph of what it launches, and then launched again as a whole by one call:
// for the same shapes, at the same places in memory, without the host's part of it.
//
// libomni_cuda_graph.so, which lies beside the plug-in, holds LibTorch's own graphs: it alone is compiled against
// LibTorch's CUDA half and is loaded when a graph is first asked for.
class DeviceGraph {
 public:
  // Throws Error(usage) where there are no graphs, saying why.
  explicit DeviceGraph(c10::Device device);
  ~DeviceGraph();
  DeviceGraph(const DeviceGraph&) = delete;
  DeviceGraph& operator=(const DeviceGraph&) = delete;

  // Runs the host's part of `work` and records what it launches; none of that runs on the device. All memory that it
  // allocates there stays the graph's, what it leaves in tensors stays at its place. The work must have run once before,
  // so that what it makes on first use is there; it may wait for nothing. Once. Throws what the work throws, and
  // Error(usage) for work that cannot be recorded, with LibTorch's reason.
  void capture(const std::function<void()>& work);
  // Launches it on the current stream and does not wait.
  void replay() const;
  bool captured() const { return graph_ != nullptr; }

 private:
  c10::Device device_;
  void* graph_ = nullptr;
};

}  // namespace omni::kernels
