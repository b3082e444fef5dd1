#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

// The memory of the host GPU: one range of addresses that stands for device memory and cannot be touched, and
// a second view of the same bytes for what runs "on the device". What the library does with a device pointer
// on the host is a fault here, as it is with a real GPU.
namespace omni::host_gpu {

// Filled with bytes of 255: floats are NaN, integers -1. Aborts where the memory is used up.
void* allocate(std::size_t bytes);
void release(void* device_pointer);
bool is_device_pointer(const void* pointer);
// Where the host finds the bytes of a device pointer.
void* host_view(const void* device_pointer);

// All of it, and back: for what must not have happened. What is released while the host GPU records stays as it is.
std::vector<std::byte> copy_of_memory();
void restore_memory(const std::vector<std::byte>& copy);

std::size_t bytes_in_use();
std::size_t peak_bytes_in_use();

}  // namespace omni::host_gpu

// While a kernel of the plug-in runs, device pointers can be followed. Between the two, by one thread at a
// time.
extern "C" void omni_host_gpu_open();
extern "C" void omni_host_gpu_close();

// How often bytes have gone to the device since the program began, and how often the host has waited for them to
// come back, in a copy, a number or a size that depends on values.
extern "C" std::int64_t omni_host_gpu_uploads();
extern "C" std::int64_t omni_host_gpu_reads();
