#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

// What the host GPU does for a graph of launches: while it records, operations are done as always, so that the host's
// part of them goes on, and are remembered; afterwards its memory is as it was before, as if nothing had run. What a real
// GPU refuses while it records, a copy that the host waits for say, is an error here, too.
namespace omni::host_gpu {

struct Recording {
  std::vector<std::function<void()>> operations;
  std::vector<void*> released;  // memory that was given back meanwhile, which the operations still use
};

bool recording();
// Does it, and remembers it where the host GPU records. Its arguments must be values or stay where they are.
void perform(std::function<void()> operation);
// Remembers what has been done already.
void note_operation(std::function<void()> operation);
void release_later(void* pointer);  // memory, of what is recorded
// Throws where the host GPU records.
void refuse_while_recording(const char* what);

}  // namespace omni::host_gpu

// The double of libomni_cuda_graph.so records with these.
extern "C" void omni_host_gpu_begin_recording();
extern "C" void* omni_host_gpu_end_recording();
extern "C" void omni_host_gpu_replay(void* recording);
extern "C" void omni_host_gpu_forget(void* recording);
// For the plug-in: remembers a launch that it has just done.
extern "C" void omni_host_gpu_note_launch(std::int32_t (*launch)(const void* arguments),
                                          const void* arguments, std::size_t size);
