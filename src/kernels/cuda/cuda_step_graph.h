#pragma once

#include <c10/core/Stream.h>

#include <exception>
#include <optional>
#include <utility>

#include "cuda_launch.h"
#include "omni/core/log.h"

namespace omni::kernels {

// A captured step. Its memory is the plan's, which must stay as long.
class StepGraph {
 public:
  StepGraph() = default;
  ~StepGraph() {
    try {
      clear();
    } catch (const std::exception& error) {
      log_debug("a decoding step's graph was not given back: ", error.what());
    }
  }
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  bool defined() const { return graph_ != nullptr; }
  // Of the current device. Stays undefined, and is not tried again, where the plug-in makes none.
  void capture(const OmniCudaDecodePlan& plan) {
    if (refused_) return;
    const int error = cuda_plugin().decode_capture(&plan, &graph_);
    refused_ = error != 0;
    if (error > 0)
      log_debug("a decoding step is launched kernel by kernel: its capture gave CUDA error ", error);
  }
  int launch(const c10::Stream& stream) {
    stream_ = stream;
    return cuda_plugin().decode_graph_launch(graph_, native_stream(stream));
  }
  // Waits for the last launch. Throws where that or the device failed; there is no graph then either.
  void clear() {
    if (!graph_) return;
    void* const graph = std::exchange(graph_, nullptr);
    if (stream_) c10::impl::VirtualGuardImpl(stream_->device_type()).synchronizeStream(*stream_);
    stream_.reset();
    const int error = cuda_plugin().decode_destroy(graph);
    ensure(error == 0, "decoding step: the GPU did not give a graph back: error ", error);
  }

 private:
  void* graph_ = nullptr;
  std::optional<c10::Stream> stream_;  // of the last launch
  bool refused_ = false;
};

}  // namespace omni::kernels
