#include "device_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "recording.h"

namespace omni::host_gpu {
namespace {

constexpr std::size_t kCapacity = std::size_t{16} << 30;  // addresses; memory is taken as it is written
constexpr std::size_t kGranularity = 512;                 // as LibTorch's own allocator

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::abort();
}

class Arena {
 public:
  Arena() {
    const int file = ::memfd_create("host_gpu", MFD_CLOEXEC);
    if (file < 0 || ::ftruncate(file, static_cast<off_t>(kCapacity)) != 0) give_up("host GPU: memory");
    device_ = map(file, PROT_NONE);
    host_ = map(file, PROT_READ | PROT_WRITE);
    ::close(file);
  }

  void* allocate(std::size_t bytes) {
    const std::size_t size = (bytes + kGranularity - 1) / kGranularity * kGranularity;
    const std::lock_guard lock(mutex_);
    char* place = nullptr;
    if (std::vector<char*>& free = free_[size]; !free.empty()) {
      place = free.back();
      free.pop_back();
    } else {
      if (next_ + size > kCapacity) give_up("host GPU: memory is used up");
      place = device_ + next_;
      next_ += size;
    }
    sizes_[place] = size;
    in_use_ += size;
    most_ = in_use_ > most_ ? in_use_ : most_;
    std::memset(host_ + (place - device_), 255, size);
    return place;
  }

  void release(void* pointer) {
    const std::lock_guard lock(mutex_);
    const auto found = sizes_.find(static_cast<char*>(pointer));
    if (found == sizes_.end()) give_up("host GPU: a pointer that was never given out");
    std::memset(host_ + (found->first - device_), 255, found->second);
    in_use_ -= found->second;
    free_[found->second].push_back(found->first);
    sizes_.erase(found);
  }

  std::vector<std::byte> copy() {
    const std::lock_guard lock(mutex_);
    const auto* first = reinterpret_cast<const std::byte*>(host_);
    return {first, first + next_};
  }
  void restore(const std::vector<std::byte>& copy) {
    const std::lock_guard lock(mutex_);
    std::memcpy(host_, copy.data(), copy.size());
  }

  bool holds(const void* pointer) const { return pointer >= device_ && pointer < device_ + kCapacity; }
  void* host_view(const void* pointer) const { return host_ + (static_cast<const char*>(pointer) - device_); }
  std::size_t in_use() const { return in_use_; }
  std::size_t most() const { return most_; }
  void protect(int protection) {
    if (::mprotect(device_, kCapacity, protection) != 0) give_up("host GPU: mprotect");
  }
  std::mutex& kernels() { return kernels_; }

 private:
  static char* map(int file, int protection) {
    void* place = ::mmap(nullptr, kCapacity, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (place == MAP_FAILED) give_up("host GPU: mmap");
    return static_cast<char*>(place);
  }

  char *device_ = nullptr, *host_ = nullptr;
  std::mutex mutex_, kernels_;
  std::map<std::size_t, std::vector<char*>> free_;
  std::map<char*, std::size_t> sizes_;
  std::size_t next_ = 0, in_use_ = 0, most_ = 0;
};

Arena& arena() {
  static Arena* const arena = new Arena;  // tensors of static life outlive everything else
  return *arena;
}

}  // namespace

void* allocate(std::size_t bytes) { return bytes == 0 ? nullptr : arena().allocate(bytes); }
void release(void* pointer) {
  if (!pointer) return;
  recording() ? release_later(pointer) : arena().release(pointer);
}
std::vector<std::byte> copy_of_memory() { return arena().copy(); }
void restore_memory(const std::vector<std::byte>& copy) { arena().restore(copy); }
bool is_device_pointer(const void* pointer) { return arena().holds(pointer); }
void* host_view(const void* pointer) { return arena().host_view(pointer); }
std::size_t bytes_in_use() { return arena().in_use(); }
std::size_t peak_bytes_in_use() { return arena().most(); }

}  // namespace omni::host_gpu

extern "C" void omni_host_gpu_open() {
  omni::host_gpu::arena().kernels().lock();
  omni::host_gpu::arena().protect(PROT_READ | PROT_WRITE);
}
extern "C" void omni_host_gpu_close() {
  omni::host_gpu::arena().protect(PROT_NONE);
  omni::host_gpu::arena().kernels().unlock();
}
