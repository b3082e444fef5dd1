// ThreadSanitizer does not see how OpenMP's run-time library hands work to its threads and waits for them. Linked into a
// test, this function stands before the library's own and tells it: for LibTorch's loops and for this project's.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

namespace {

struct Region {
  void (*body)(void*);
  void* data;
  // Whose addresses stand for what happens before and after. One for both would order the threads among themselves.
  char begun, done;
};

void run_region(void* given) {
  Region& region = *static_cast<Region*>(given);
  __tsan_acquire(&region.begun);
  region.body(region.data);
  __tsan_release(&region.done);
}

}  // namespace

extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags) {
  using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
  static const auto real = reinterpret_cast<Parallel>(::dlsym(RTLD_NEXT, "GOMP_parallel"));
  Region region{body, data, 0, 0};
  __tsan_release(&region.begun);
  real(run_region, &region, threads, flags);
  __tsan_acquire(&region.done);
}
