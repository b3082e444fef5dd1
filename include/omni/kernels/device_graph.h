#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <string>
#include <utility>

#include "omni/core/error.h"

namespace omni::kernels {

// There are no graphs, or not of that work; an Error(usage).
class DeviceGraphRefusal : public Error {
 public:
  explicit DeviceGraphRefusal(std::string message) : Error(ErrorKind::usage, std::move(message)) {}
};

// Work on a GPU that is recorded once, as a graph of what it launches, and then launched again as a whole by one call:
// for the same shapes, at the same places in memory, without the host's part of it.
//
// libomni_cuda_graph.so, which lies beside the plug-in, holds LibTorch's own graphs: it alone is compiled against
// LibTorch's CUDA half and is loaded when a graph is first asked for.
class DeviceGraph {
 public:
  // Throws DeviceGraphRefusal where there are no graphs, saying why.
  explicit DeviceGraph(c10::Device device);
  ~DeviceGraph();
  DeviceGraph(const DeviceGraph&) = delete;
  DeviceGraph& operator=(const DeviceGraph&) = delete;

  // Runs the host's part of `work` and records what it launches; none of that runs on the device. All memory that it
  // allocates there stays the graph's, what it leaves in tensors stays at its place. The work must have run once before,
  // so that what it makes on first use is there; it may wait for nothing. Once. Throws what the work throws, and
  // DeviceGraphRefusal for work that cannot be recorded, with LibTorch's reason.
  void capture(const std::function<void()>& work);
  // Launches it on the current stream and does not wait. Throws DeviceGraphRefusal where that fails.
  void replay() const;
  bool captured() const { return graph_ != nullptr; }

 private:
  c10::Device device_;
  void* graph_ = nullptr;
};

}  // namespace omni::kernels
