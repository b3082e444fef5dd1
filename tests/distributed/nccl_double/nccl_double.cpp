// A double of NCCL's C interface over the memory of the host, for tests: ranks are processes of one host that meet
// in a file. A call is carried out before it returns. It fails where ranks differ in order, count, type, operator
// or root, as NCCL does not: it hangs or gives nonsense.
//
// NCCL_DOUBLE="WHAT:N" spoils this rank's call N, counted from 1: fail, error (the call succeeds, the communicator
// reports an error afterwards), hang (until the communicator is aborted), delay (by a second).
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>

#include "nccl_interface.h"

namespace {

namespace nccl = omni::distributed::nccl;
using nccl::DataType;
using nccl::Operator;
using nccl::Result;

constexpr int kMostRanks = 16;
constexpr std::size_t kRoom = 1 << 20;  // bytes of each rank that are exchanged at a time

enum class Kind : int { all_reduce = 1, reduce_scatter, all_gather, broadcast };

struct Said {
  Kind kind;
  DataType type;
  Operator reduction;
  int root;
  std::uint64_t number, count;
  bool operator==(const Said&) const = default;
};

// The file in which the ranks meet.
struct Shared {
  struct Rank {
    std::atomic<std::uint64_t> arrived;  // at this many meetings
    Said said;
    std::byte room[kRoom];
  };
  Rank ranks[kMostRanks];
};

std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::float64:
    case DataType::int64:
      return 8;
    case DataType::float32:
    case DataType::int32:
      return 4;
    case DataType::float16:
    case DataType::bfloat16:
      return 2;
    default:
      return 1;
  }
}

template <class Value>
void combine(std::byte* into, const std::byte* from, std::size_t bytes, Operator reduction) {
  for (std::size_t at = 0; at < bytes; at += sizeof(Value)) {
    Value a, b;
    std::memcpy(&a, into + at, sizeof a);
    std::memcpy(&b, from + at, sizeof b);
    a = reduction == Operator::sum ? a + b : std::max(a, b);
    std::memcpy(into + at, &a, sizeof a);
  }
}

bool combine(std::byte* into, const std::byte* from, std::size_t bytes, DataType type, Operator reduction) {
  switch (type) {
    case DataType::float32:
      return combine<float>(into, from, bytes, reduction), true;
    case DataType::float64:
      return combine<double>(into, from, bytes, reduction), true;
    case DataType::int64:
      return combine<std::int64_t>(into, from, bytes, reduction), true;
    default:
      return false;
  }
}

// While it lives, pointers to the memory of the GPU that the host plays can be followed.
class DeviceMemoryOpen {
 public:
  DeviceMemoryOpen() { call("omni_host_gpu_open"); }
  ~DeviceMemoryOpen() { call("omni_host_gpu_close"); }

 private:
  static void call(const char* name) {
    if (auto* function = reinterpret_cast<void (*)()>(::dlsym(RTLD_DEFAULT, name))) function();
  }
};

void copy_bytes(void* to, const void* from, std::size_t bytes) {
  const DeviceMemoryOpen open;
  if (bytes > 0) std::memcpy(to, from, bytes);
}

}  // namespace

namespace omni::distributed::nccl {

struct Communicator {
  Shared* shared = nullptr;
  int rank = 0, ranks = 0;
  std::uint64_t meetings = 0, calls = 0;
  std::atomic<bool> aborted = false;
  std::atomic<Result> error = Result::success;
  std::string explanation;
  std::string spoiled;  // what is done to call spoiled_call
  std::uint64_t spoiled_call = 0;

  // Returns when all ranks are there; false where the communicator is aborted.
  bool meet() {
    ++meetings;
    shared->ranks[rank].arrived.store(meetings);
    for (int other = 0; other < ranks; ++other)
      while (shared->ranks[other].arrived.load() < meetings) {
        if (aborted) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      }
    return true;
  }
  Result fail(Result result, const std::string& why) {
    explanation = why;
    error = result;
    return result;
  }
  Result spoil();
  Result agree(Said said);
};

Result Communicator::spoil() {
  if (++calls != spoiled_call) return Result::success;
  if (spoiled == "fail") return fail(Result::unhandled_cuda_error, "the double fails as told");
  if (spoiled == "error") fail(Result::remote_error, "the double reports an error as told");
  if (spoiled == "delay") std::this_thread::sleep_for(std::chrono::seconds(1));
  while (spoiled == "hang" && !aborted) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return aborted ? fail(Result::internal_error, "aborted") : Result::success;
}

Result Communicator::agree(Said said) {
  said.number = calls;
  shared->ranks[rank].said = said;
  if (!meet()) return fail(Result::internal_error, "aborted");
  for (int other = 0; other < ranks; ++other)
    if (!(shared->ranks[other].said == said))
      return fail(Result::invalid_usage,
                  "call " + std::to_string(calls) + " of rank " + std::to_string(other) + " is another one");
  // Nobody may say the next before all have heard this.
  return meet() ? Result::success : fail(Result::internal_error, "aborted");
}

}  // namespace omni::distributed::nccl

namespace {

// A call that moves `count` values of each rank: what each puts into its room, piece by piece, and what it takes
// from all rooms.
template <class Put, class Take>
Result exchange(nccl::Communicator& self, const Said& said, const Put& put, const Take& take) {
  if (const Result result = self.spoil(); result != Result::success) return result;
  if (const Result result = self.agree(said); result != Result::success) return result;
  const std::size_t bytes = said.count * size_of(said.type);
  for (std::size_t at = 0; at < bytes; at += kRoom) {
    const std::size_t piece = std::min(kRoom, bytes - at);
    put(self.shared->ranks[self.rank].room, at, piece);
    if (!self.meet()) return Result::internal_error;
    take(at, piece);
    if (!self.meet()) return Result::internal_error;
  }
  return Result::success;
}

Result reduce(nccl::Communicator& self, const Said& said, const void* send, void* receive) {
  static thread_local std::byte sum[kRoom];
  return exchange(
      self, said,
      [&](std::byte* room, std::size_t at, std::size_t bytes) {
        copy_bytes(room, static_cast<const std::byte*>(send) + at, bytes);
      },
      [&](std::size_t at, std::size_t bytes) {
        std::memcpy(sum, self.shared->ranks[0].room, bytes);
        for (int rank = 1; rank < self.ranks; ++rank)
          combine(sum, self.shared->ranks[rank].room, bytes, said.type, said.reduction);
        copy_bytes(static_cast<std::byte*>(receive) + at, sum, bytes);
      });
}

}  // namespace

extern "C" {

Result ncclGetVersion(int* version) { return *version = 22809, Result::success; }
const char* ncclGetErrorString(Result result) {
  return result == Result::success         ? "no error"
         : result == Result::invalid_usage ? "invalid usage"
                                           : "an error";
}
const char* ncclGetLastError(nccl::Communicator* self) { return self ? self->explanation.c_str() : ""; }

Result ncclGetUniqueId(nccl::UniqueId* id) {
  const std::string name = "/tmp/omni-nccl-double-" + std::to_string(std::random_device()());
  const int file = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (file < 0 || ::ftruncate(file, sizeof(Shared)) != 0) return Result::system_error;
  ::close(file);
  std::copy_n(name.c_str(), name.size() + 1, id->bytes.begin());
  return Result::success;
}

Result ncclCommInitRank(nccl::Communicator** communicator, int ranks, nccl::UniqueId id, int rank) {
  const int file = ::open(id.bytes.data(), O_RDWR);
  if (file < 0 || ranks > kMostRanks) return Result::system_error;
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (memory == MAP_FAILED) return Result::system_error;
  auto* self = new nccl::Communicator;
  self->shared = static_cast<Shared*>(memory);
  self->rank = rank;
  self->ranks = ranks;
  if (const char* told = std::getenv("NCCL_DOUBLE")) {
    const std::string text = told;
    self->spoiled = text.substr(0, text.find(':'));
    self->spoiled_call = std::stoull(text.substr(text.find(':') + 1));
  }
  *communicator = self;
  self->meet();
  ::unlink(id.bytes.data());  // nobody else comes; those who are here keep it
  return Result::success;
}

Result ncclCommDestroy(nccl::Communicator* self) {
  ::munmap(self->shared, sizeof(Shared));
  delete self;
  return Result::success;
}
// A call may be under way in another thread, so nothing is freed.
Result ncclCommAbort(nccl::Communicator* self) { return self->aborted = true, Result::success; }
Result ncclCommGetAsyncError(nccl::Communicator* self, Result* error) {
  return *error = self->error, Result::success;
}

Result ncclAllReduce(const void* send, void* receive, std::size_t count, DataType type, Operator reduction,
                     nccl::Communicator* self, nccl::Stream /*stream*/) {
  return reduce(*self, {Kind::all_reduce, type, reduction, 0, 0, count}, send, receive);
}

Result ncclReduceScatter(const void* send, void* receive, std::size_t count, DataType type,
                         Operator reduction, nccl::Communicator* self, nccl::Stream /*stream*/) {
  const std::size_t part = count * size_of(type);
  std::string whole(part * self->ranks, 0);
  const Said said = {Kind::reduce_scatter, type, reduction, 0, 0, count * self->ranks};
  const Result result = reduce(*self, said, send, whole.data());
  if (result == Result::success) copy_bytes(receive, whole.data() + part * self->rank, part);
  return result;
}

Result ncclAllGather(const void* send, void* receive, std::size_t count, DataType type,
                     nccl::Communicator* self, nccl::Stream /*stream*/) {
  return exchange(
      *self, {Kind::all_gather, type, Operator::sum, 0, 0, count},
      [&](std::byte* room, std::size_t at, std::size_t bytes) {
        copy_bytes(room, static_cast<const std::byte*>(send) + at, bytes);
      },
      [&](std::size_t at, std::size_t bytes) {
        for (int rank = 0; rank < self->ranks; ++rank)
          copy_bytes(static_cast<std::byte*>(receive) + rank * count * size_of(type) + at,
                     self->shared->ranks[rank].room, bytes);
      });
}

Result ncclBroadcast(const void* send, void* receive, std::size_t count, DataType type, int root,
                     nccl::Communicator* self, nccl::Stream /*stream*/) {
  return exchange(
      *self, {Kind::broadcast, type, Operator::sum, root, 0, count},
      [&](std::byte* room, std::size_t at, std::size_t bytes) {
        if (self->rank == root) copy_bytes(room, static_cast<const std::byte*>(send) + at, bytes);
      },
      [&](std::size_t at, std::size_t bytes) {
        copy_bytes(static_cast<std::byte*>(receive) + at, self->shared->ranks[root].room, bytes);
      });
}

}  // extern "C"
