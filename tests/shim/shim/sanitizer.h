#pragma once

#include <cstddef>

// What the shim tells AddressSanitizer and MemorySanitizer; nothing in other builds.
#if defined(__SANITIZE_ADDRESS__)
#define OMNI_SHIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OMNI_SHIM_ASAN 1
#endif
#if __has_feature(memory_sanitizer)
#define OMNI_SHIM_MSAN 1
#endif
#endif

#ifdef OMNI_SHIM_MSAN
#include <sanitizer/msan_interface.h>
#endif
#ifdef OMNI_SHIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace omni::shim {

#ifdef OMNI_SHIM_ASAN
constexpr bool kAddressSanitizer = true;
inline void poison(const void* memory, std::size_t bytes) { __asan_poison_memory_region(memory, bytes); }
inline void unpoison(const void* memory, std::size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
inline void start_switch(void** fake_stack, const void* stack, std::size_t bytes) {
  __sanitizer_start_switch_fiber(fake_stack, stack, bytes);
}
inline void finish_switch(void* fake_stack, const void** stack, std::size_t* bytes) {
  __sanitizer_finish_switch_fiber(fake_stack, stack, bytes);
}
#else
constexpr bool kAddressSanitizer = false;
inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
inline void start_switch(void**, const void*, std::size_t) {}
inline void finish_switch(void*, const void**, std::size_t*) {}
#endif

// forget(): memory that device code must write before it reads it; written(): memory that something unwatched
// wrote.
#ifdef OMNI_SHIM_MSAN
constexpr bool kMemorySanitizer = true;
inline void forget(const void* memory, std::size_t bytes) { __msan_allocated_memory(memory, bytes); }
inline void written(const void* memory, std::size_t bytes) { __msan_unpoison(memory, bytes); }
#else
constexpr bool kMemorySanitizer = false;
inline void forget(const void*, std::size_t) {}
inline void written(const void*, std::size_t) {}
#endif

}  // namespace omni::shim
