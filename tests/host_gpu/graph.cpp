// The double of libomni_cuda_graph.so: graphs of what the host GPU did.
#include "graph_interface.h"

#include "recording.h"

std::int32_t omni_cuda_graph_interface() { return kOmniCudaGraphInterface; }

std::int32_t omni_cuda_graph_capture(std::int32_t (*work)(void*), void* context, void** graph,
                                     char* /*message*/, std::size_t /*size*/) {
  omni_host_gpu_begin_recording();
  const std::int32_t failed = work(context);
  void* recording = omni_host_gpu_end_recording();
  if (failed != 0)
    omni_host_gpu_forget(recording);
  else
    *graph = recording;
  return failed;
}

std::int32_t omni_cuda_graph_replay(void* graph, char* /*message*/, std::size_t /*size*/) {
  omni_host_gpu_replay(graph);
  return 0;
}

void omni_cuda_graph_destroy(void* graph) { omni_host_gpu_forget(graph); }
