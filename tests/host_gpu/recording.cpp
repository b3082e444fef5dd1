#include <c10/util/Exception.h>

#include <cstring>
#include <memory>

#include "device_memory.h"
#include "recording.h"

namespace omni::host_gpu {
namespace {

std::unique_ptr<Recording> current;
std::vector<std::byte> memory_before;

}  // namespace

bool recording() { return current != nullptr; }

void perform(std::function<void()> operation) {
  operation();
  if (current) note_operation(std::move(operation));
}

void note_operation(std::function<void()> operation) { current->operations.push_back(std::move(operation)); }

void refuse_while_recording(const char* what) {
  TORCH_CHECK(!recording(), "host GPU: ", what, " while a graph is recorded");
}

void release_later(void* pointer) { current->released.push_back(pointer); }

}  // namespace omni::host_gpu

void omni_host_gpu_begin_recording() {
  using namespace omni::host_gpu;
  memory_before = copy_of_memory();
  current = std::make_unique<Recording>();
}

void* omni_host_gpu_end_recording() {
  using namespace omni::host_gpu;
  restore_memory(memory_before);
  memory_before = {};
  return current.release();
}

void omni_host_gpu_replay(void* recording) {
  for (const auto& operation : static_cast<omni::host_gpu::Recording*>(recording)->operations) operation();
}

void omni_host_gpu_forget(void* recording) {
  auto* own = static_cast<omni::host_gpu::Recording*>(recording);
  for (void* pointer : own->released) omni::host_gpu::release(pointer);
  delete own;
}

void omni_host_gpu_note_launch(std::int32_t (*launch)(const void* arguments), const void* arguments,
                               std::size_t size) {
  using namespace omni::host_gpu;
  if (!recording()) return;
  const auto* bytes = static_cast<const std::byte*>(arguments);
  current->operations.emplace_back([launch, copy = std::vector<std::byte>(bytes, bytes + size)] {
    TORCH_CHECK(launch(copy.data()) == 0, "host GPU: a launch of a graph failed");
  });
}
