#pragma once

#include <cstddef>
#include <cstdint>

// The C interface between the library and libomni_cuda_graph.so. Functions return 0, or another number and why in
// `message` [size].
extern "C" {

constexpr std::int32_t kOmniCudaGraphInterface = 1;  // raised whenever a signature changes

// Of LibTorch's current stream, which must not be the default one. `work` returns 0 where it went well; whatever it
// returns, nothing is being recorded afterwards.
using OmniCudaGraphCaptureFunction = std::int32_t (*)(std::int32_t (*work)(void*), void* context,
                                                      void** graph, char* message, std::size_t size);
// On LibTorch's current stream.
using OmniCudaGraphReplayFunction = std::int32_t (*)(void* graph, char* message, std::size_t size);
using OmniCudaGraphDestroyFunction = void (*)(void* graph);
using OmniCudaGraphInterfaceFunction = std::int32_t (*)();

std::int32_t omni_cuda_graph_interface();
std::int32_t omni_cuda_graph_capture(std::int32_t (*work)(void*), void* context, void** graph, char* message,
                                     std::size_t size);
std::int32_t omni_cuda_graph_replay(void* graph, char* message, std::size_t size);
void omni_cuda_graph_destroy(void* graph);
}
