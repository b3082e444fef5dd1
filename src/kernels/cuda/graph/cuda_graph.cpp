// LibTorch's graphs behind a C interface, so that nothing else is compiled against its CUDA half.
#include <ATen/cuda/CUDAGraph.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

#include "graph_interface.h"

namespace {

void tell(const std::string& reason, char* message, std::size_t size) {
  const std::size_t count = std::min(reason.size(), size - 1);
  std::memcpy(message, reason.data(), count);
  message[count] = '\0';
}

// Of an error of LibTorch, without its C++ stack.
std::string reason_of(const std::exception& error) {
  const auto* own = dynamic_cast<const c10::Error*>(&error);
  return own != nullptr ? own->what_without_backtrace() : error.what();
}

}  // namespace

std::int32_t omni_cuda_graph_interface() { return kOmniCudaGraphInterface; }

std::int32_t omni_cuda_graph_capture(std::int32_t (*work)(void*), void* context, void** graph, char* message,
                                     std::size_t size) {
  auto own = std::make_unique<at::cuda::CUDAGraph>();
  try {
    // Thread-local: what other threads do meanwhile, such as the loader's pinned memory, does not break it.
    own->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  } catch (const std::exception& error) {
    tell(reason_of(error), message, size);
    return 1;
  }
  const std::int32_t failed = work(context);
  try {
    own->capture_end();
  } catch (const std::exception& error) {
    tell(reason_of(error), message, size);
    return 1;
  }
  if (failed != 0) return failed;
  *graph = own.release();
  return 0;
}

std::int32_t omni_cuda_graph_replay(void* graph, char* message, std::size_t size) {
  try {
    static_cast<at::cuda::CUDAGraph*>(graph)->replay();
    return 0;
  } catch (const std::exception& error) {
    tell(reason_of(error), message, size);
    return 1;
  }
}

void omni_cuda_graph_destroy(void* graph) { delete static_cast<at::cuda::CUDAGraph*>(graph); }
