#include "nccl_collectives.h"

#include <ATen/ops/zeros.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "call.h"
#include "nccl_library.h"
#include "omni/core/error.h"

namespace omni::distributed {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

nccl::DataType nccl_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return nccl::DataType::float32;
    case at::kDouble:
      return nccl::DataType::float64;
    case at::kLong:
      return nccl::DataType::int64;
    case at::kInt:
      return nccl::DataType::int32;
    case at::kBFloat16:
      return nccl::DataType::bfloat16;
    case at::kHalf:
      return nccl::DataType::float16;
    case at::kChar:
      return nccl::DataType::int8;
    case at::kByte:
    case at::kBool:
      return nccl::DataType::uint8;
    default:
      fail(ErrorKind::internal, "internal error: NCCL has no ", c10::toString(type));
  }
}

nccl::Operator nccl_operator(Reduction reduction) {
  return reduction == Reduction::sum ? nccl::Operator::sum : nccl::Operator::maximum;
}

// The stream on which NCCL works, and its order with the stream of the caller. On a CPU everything is done at
// once, and there is none.
class SideStream {
 public:
  explicit SideStream(at::Device device) : device_(device) {
    if (device.is_cpu()) return;
    const c10::impl::VirtualGuardImpl guard(device.type());
    // Ahead of the caller's kernels where both have work: others wait for what travels.
    stream_ = guard.getStreamFromGlobalPool(device, /*isHighPriority=*/true);
  }
  nccl::Stream handle() const { return stream_ ? stream_->native_handle() : nullptr; }
  // What comes on this stream is done after all that the caller's stream has now.
  void follow_caller() const {
    if (stream_) mark(caller()).block(*stream_);
  }
  std::optional<c10::Event> mark() const {
    if (!stream_) return std::nullopt;
    return mark(*stream_);
  }
  void make_caller_follow(const c10::Event& event) const { event.block(caller()); }

 private:
  c10::Stream caller() const { return c10::impl::VirtualGuardImpl(device_.type()).getStream(device_); }
  static c10::Event mark(const c10::Stream& stream) {
    c10::Event event(stream.device_type());
    event.record(stream);
    return event;
  }

  at::Device device_;
  std::optional<c10::Stream> stream_;
};

struct CallUnderWay {
  Call call;
  std::vector<at::Tensor> tensors;
  std::atomic<bool> posted = false;  // `done` may be asked
  std::optional<c10::Event> done;    // none: done when posted
  bool is_done() const { return posted && (!done || done->query()); }
};

class NcclCollectives final : public Collectives {
 public:
  NcclCollectives(Store& store, const Peers& peers, at::Device device, milliseconds patience);
  ~NcclCollectives() override;

  void abort(const CollectiveError& reason) override { fail_all(reason); }

 private:
  class Waiting;

  // `post` gives NCCL the call. The tensors are held until the caller has waited.
  template <class Post>
  std::shared_ptr<CallUnderWay> start(const Call& call, std::vector<at::Tensor> tensors, const Post& post);
  Pending start_all_reduce(const at::Tensor& values, Reduction reduction) override;
  Pending start_reduce_scatter(const at::Tensor& whole, const at::Tensor& part, Reduction reduction) override;
  Pending start_all_gather(const at::Tensor& part, const at::Tensor& whole) override;
  Pending start_broadcast(const at::Tensor& values, int root) override;
  Pending start_barrier() override;

  void wait_for(const CallUnderWay& call) const;
  void wait_on_host_for(const CallUnderWay& call);
  void throw_failure();
  void fail_all(const CollectiveError& failure);
  void watch();
  std::optional<CollectiveError> find_failure(const std::unique_lock<std::mutex>& lock);
  std::string explain(nccl::Result result) const;

  const NcclLibrary nccl_ = load_nccl();
  const Peers peers_;
  const at::Device device_;
  const milliseconds patience_;
  const SideStream stream_;
  nccl::Communicator* communicator_ = nullptr;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<std::shared_ptr<CallUnderWay>> under_way_;
  Clock::time_point first_since_;
  std::optional<CollectiveError> failure_;
  bool closing_ = false;
  std::thread watching_;
};

class NcclCollectives::Waiting final : public Pending::Work {
 public:
  Waiting(NcclCollectives& owner, std::shared_ptr<CallUnderWay> call)
      : owner_(owner), call_(std::move(call)) {}
  // A call that nobody waits for still uses its tensors, which are given back to the caller's stream now.
  ~Waiting() override {
    if (call_ != nullptr) owner_.wait_for(*call_);
  }
  void wait() override {
    const std::shared_ptr<CallUnderWay> call = std::move(call_);
    owner_.throw_failure();
    owner_.wait_for(*call);
  }

 private:
  NcclCollectives& owner_;
  std::shared_ptr<CallUnderWay> call_;
};

NcclCollectives::NcclCollectives(Store& store, const Peers& peers, at::Device device, milliseconds patience)
    : Collectives(peers.rank, peers.size()),
      peers_(peers),
      device_(device),
      patience_(patience),
      stream_(device) {
  const std::string key = "nccl/id";
  nccl::UniqueId id{};
  const c10::OptionalDeviceGuard on_device(device.is_cpu() ? std::nullopt : std::optional(device));
  if (rank() == 0) {
    const nccl::Result result = nccl_.get_unique_id(&id);
    if (result != nccl::Result::success)
      fail(ErrorKind::io, peers_.name(0), " cannot start NCCL: ", explain(result));
    store.set(key, {id.bytes.begin(), id.bytes.end()});
  } else {
    const std::optional<std::string> bytes = store.wait(key, patience);
    if (!bytes || bytes->size() != id.bytes.size())
      fail(ErrorKind::io, peers_.name(0), " does not say where NCCL's ranks meet");
    std::copy(bytes->begin(), bytes->end(), id.bytes.begin());
  }
  const nccl::Result result = nccl_.comm_init_rank(&communicator_, size(), id, rank());
  if (result != nccl::Result::success)
    fail(ErrorKind::io, peers_.name(rank()), " cannot join NCCL's ranks: ", explain(result),
         ". With NCCL_DEBUG=INFO it says more");
  watching_ = std::thread([this] { watch(); });
}

NcclCollectives::~NcclCollectives() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    changed_.notify_all();
  }
  watching_.join();
  if (!failure_) nccl_.comm_destroy(communicator_);
}

std::string NcclCollectives::explain(nccl::Result result) const {
  const char* more = nccl_.get_last_error(communicator_);
  return concat("NCCL ", nccl_.version, ": ", nccl_.get_error_string(result),
                more == nullptr || *more == 0 ? "" : ", ", more == nullptr ? "" : more);
}

void NcclCollectives::throw_failure() {
  const std::lock_guard lock(mutex_);
  if (failure_) throw CollectiveError(*failure_);
}

void NcclCollectives::fail_all(const CollectiveError& failure) {
  const std::lock_guard lock(mutex_);
  if (failure_) return;
  failure_ = failure;
  changed_.notify_all();
}

template <class Post>
std::shared_ptr<CallUnderWay> NcclCollectives::start(const Call& call, std::vector<at::Tensor> tensors,
                                                     const Post& post) {
  throw_failure();
  for (const at::Tensor& tensor : tensors)
    ensure(tensor.device() == device_, "these collectives are of ", device_.str(), ", not of ",
           tensor.device().str());
  auto under_way = std::make_shared<CallUnderWay>();
  under_way->call = call;
  under_way->tensors = std::move(tensors);
  {
    const std::lock_guard lock(mutex_);
    if (under_way_.empty()) first_since_ = Clock::now();
    under_way_.push_back(under_way);
  }
  const c10::OptionalDeviceGuard on_device(device_.is_cpu() ? std::nullopt : std::optional(device_));
  stream_.follow_caller();
  const nccl::Result result = post();
  if (result != nccl::Result::success)
    fail_all(CollectiveError(
        concat(peers_.name(rank()), " fails during ", describe(call), ": ", explain(result)), rank(), false));
  else
    under_way->done = stream_.mark();
  under_way->posted = true;
  throw_failure();
  return under_way;
}

void NcclCollectives::wait_for(const CallUnderWay& call) const {
  if (call.done) stream_.make_caller_follow(*call.done);
}

void NcclCollectives::wait_on_host_for(const CallUnderWay& call) {
  while (!call.is_done()) {
    throw_failure();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  throw_failure();
}

Pending NcclCollectives::start_all_reduce(const at::Tensor& values, Reduction reduction) {
  return Pending(std::make_shared<Waiting>(
      *this, start(begun_call(*this, Operation::all_reduce, values, reduction), {values}, [&] {
        return nccl_.all_reduce(values.const_data_ptr(), values.data_ptr(), values.numel(),
                                nccl_type(values.scalar_type()), nccl_operator(reduction), communicator_,
                                stream_.handle());
      })));
}

Pending NcclCollectives::start_reduce_scatter(const at::Tensor& whole, const at::Tensor& part,
                                              Reduction reduction) {
  return Pending(std::make_shared<Waiting>(
      *this, start(begun_call(*this, Operation::reduce_scatter, whole, reduction), {whole, part}, [&] {
        return nccl_.reduce_scatter(whole.const_data_ptr(), part.data_ptr(), part.numel(),
                                    nccl_type(whole.scalar_type()), nccl_operator(reduction), communicator_,
                                    stream_.handle());
      })));
}

Pending NcclCollectives::start_all_gather(const at::Tensor& part, const at::Tensor& whole) {
  return Pending(std::make_shared<Waiting>(
      *this, start(begun_call(*this, Operation::all_gather, whole), {part, whole}, [&] {
        return nccl_.all_gather(part.const_data_ptr(), whole.data_ptr(), part.numel(),
                                nccl_type(part.scalar_type()), communicator_, stream_.handle());
      })));
}

Pending NcclCollectives::start_broadcast(const at::Tensor& values, int root) {
  return Pending(std::make_shared<Waiting>(
      *this, start(begun_call(*this, Operation::broadcast, values, Reduction::sum, root), {values}, [&] {
        return nccl_.broadcast(values.const_data_ptr(), values.data_ptr(), values.numel(),
                               nccl_type(values.scalar_type()), root, communicator_, stream_.handle());
      })));
}

// NCCL has none: a sum of one value, waited for by the host.
Pending NcclCollectives::start_barrier() {
  const at::Tensor one = at::zeros({1}, at::TensorOptions(device_).dtype(at::kFloat));
  wait_on_host_for(*start(begun_call(*this, Operation::barrier, one), {one}, [&] {
    return nccl_.all_reduce(one.const_data_ptr(), one.data_ptr(), 1, nccl::DataType::float32,
                            nccl::Operator::sum, communicator_, stream_.handle());
  }));
  return {};
}

std::optional<CollectiveError> NcclCollectives::find_failure(const std::unique_lock<std::mutex>& /*lock*/) {
  while (!under_way_.empty() && under_way_.front()->is_done()) {
    under_way_.pop_front();
    first_since_ = Clock::now();
  }
  nccl::Result state = nccl::Result::success;
  nccl_.comm_get_async_error(communicator_, &state);
  if (state != nccl::Result::success && state != nccl::Result::in_progress)
    return CollectiveError(concat("a peer of ", peers_.name(rank()), " is gone: ", explain(state)), -1,
                           false);
  if (under_way_.empty() || Clock::now() - first_since_ < patience_) return std::nullopt;
  const double seconds = std::chrono::duration<double>(patience_).count();
  return CollectiveError(concat("a peer of ", peers_.name(rank()), " did not answer in ", seconds,
                                " s during ", describe(under_way_.front()->call)),
                         -1, true);
}

// NCCL itself waits for ever: what ends a call is its communicator's abort, from another thread.
void NcclCollectives::watch() {
  constexpr milliseconds kLook(20);
  std::unique_lock lock(mutex_);
  while (!closing_ && !failure_) {
    changed_.wait_for(lock, kLook, [&] { return closing_ || failure_; });
    if (!closing_ && !failure_) failure_ = find_failure(lock);
  }
  if (!failure_) return;
  lock.unlock();
  nccl_.comm_abort(communicator_);
}

}  // namespace

std::unique_ptr<Collectives> make_nccl_collectives(Store& store, const Peers& peers, at::Device device,
                                                   milliseconds patience) {
  return std::make_unique<NcclCollectives>(store, peers, device, patience);
}

}  // namespace omni::distributed
