#include "gloo_collectives.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "call.h"
#include "call_queue.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "ordered_sum.h"

namespace omni::distributed {
namespace {

using Clock = GlooLinks::Clock;
using Message = std::shared_ptr<GlooLinks::Message>;

constexpr std::int64_t kSliceBytes = 1 << 20;    // of what is reduced at a time, so that scratch stays small
constexpr std::int64_t kDirectBytes = 64 << 10;  // up to here everyone sends everything: one round, not two
constexpr std::int64_t kLineBytes = 64;          // sections begin at multiples of a cache line

at::Tensor scratch(std::int64_t bytes) { return at::empty({bytes}, at::kByte); }

// Bytes of a tensor, as a tensor without a past in autograd.
at::Tensor bytes_of(const at::Tensor& values) {
  const auto size = values.numel() * static_cast<std::int64_t>(values.element_size());
  return at::from_blob(values.data_ptr(), {size}, at::kByte);
}

// The bytes [begin, end) of a whole.
struct Section {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
  Section slice(std::int64_t index) const {
    return {std::min(end, begin + index * kSliceBytes), std::min(end, begin + (index + 1) * kSliceBytes)};
  }
};

// One call, carried out: the messages of this rank and their order.
class Exchange {
 public:
  Exchange(GlooLinks& links, const Call& call, std::chrono::milliseconds patience)
      : links_(links), call_(call), end_(Clock::now() + patience), during_(" during " + describe(call)) {
    for (int peer = 0; peer < links.peers().size(); ++peer)
      if (peer != rank()) others_.push_back(peer);
  }
  ~Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void barrier();
  void all_reduce(const at::Tensor& whole);
  // `result`: this rank's section, of `whole` or elsewhere.
  void reduce_sections(const at::Tensor& whole, const std::vector<Section>& sections,
                       const at::Tensor& result);
  // This rank's section of `whole` holds its part.
  void gather_sections(const at::Tensor& whole, const std::vector<Section>& sections);
  void broadcast(const at::Tensor& values);

 private:
  int rank() const { return links_.peers().rank; }
  int size() const { return links_.peers().size(); }
  // Says to `to` what this rank calls, and hears it from `from`. The messages that carry values may be posted
  // before the answers are checked: their tags are made of the call, so that another call's never meet them.
  void greet(std::span<const int> to, std::span<const int> from);
  void check_greetings();
  void send(const at::Tensor& whole, Section section, int to, std::int64_t step);
  Message receive(const at::Tensor& whole, Section section, int from, std::int64_t step);
  void wait(const Message& message) { links_.wait(message, end_, during_); }
  void finish();  // what was sent has left
  int tag(std::int64_t step) const;
  void reduce_direct(const at::Tensor& whole);
  void reduce_slice(std::span<const void* const> inputs, void* result, std::int64_t bytes) const {
    const auto element = static_cast<std::int64_t>(c10::elementSize(call_.type));
    reduce_in_order(inputs, result, bytes / element, call_.type, call_.reduction);
  }

  GlooLinks& links_;
  const Call call_;
  const Clock::time_point end_;
  const std::string during_;
  std::vector<int> others_;
  struct Greeting {
    int peer;
    at::Tensor bytes;
    Message message;
  };
  std::vector<Greeting> greetings_;
  std::vector<Message> sent_;
};

int Exchange::tag(std::int64_t step) const {
  constexpr std::uint64_t kValues = 1U << 30;  // apart from greetings
  const CallWords words = pack(call_);
  const std::uint64_t said = hash_string({reinterpret_cast<const char*>(words.data()), sizeof words});
  return static_cast<int>(kValues | (hash_combine(said, static_cast<std::uint64_t>(step)) % kValues));
}

void Exchange::greet(std::span<const int> to, std::span<const int> from) {
  constexpr std::int64_t kGreetings = 1U << 30;
  const int tag = static_cast<int>(call_.number % kGreetings);
  for (const int peer : from) {
    at::Tensor heard = scratch(sizeof(CallWords));
    greetings_.push_back({peer, heard, links_.receive(heard, peer, tag)});
  }
  const CallWords words = pack(call_);
  const at::Tensor said = scratch(sizeof words);
  std::memcpy(said.data_ptr(), words.data(), sizeof words);
  for (const int peer : to) sent_.push_back(links_.send(said, peer, tag));
}

void Exchange::check_greetings() {
  for (const Greeting& greeting : greetings_) {
    wait(greeting.message);
    CallWords words{};
    std::memcpy(words.data(), greeting.bytes.const_data_ptr(), sizeof words);
    const Call heard = unpack(words);
    if (heard == call_) continue;
    throw CollectiveError(
        concat(links_.peers().name(greeting.peer), " makes ", describe(heard), ", where ",
               links_.peers().name(rank()), " makes ", describe(call_),
               ". All ranks must make the same calls: this is a defect of omni, or the ranks "
               "run different programs"),
        greeting.peer, false);
  }
  greetings_.clear();
}

void Exchange::send(const at::Tensor& whole, Section section, int to, std::int64_t step) {
  if (section.size() == 0) return;
  sent_.push_back(links_.send(whole.narrow(0, section.begin, section.size()), to, tag(step)));
}

Message Exchange::receive(const at::Tensor& whole, Section section, int from, std::int64_t step) {
  if (section.size() == 0) return nullptr;
  return links_.receive(whole.narrow(0, section.begin, section.size()), from, tag(step));
}

void Exchange::finish() {
  for (const Message& message : sent_) wait(message);
  sent_.clear();
}

void Exchange::barrier() {
  greet(others_, others_);
  check_greetings();
  finish();
}

void Exchange::reduce_direct(const at::Tensor& whole) {
  const Section all{0, whole.numel()};
  const at::Tensor mine = whole.clone();
  std::vector<at::Tensor> inputs(static_cast<std::size_t>(size()), mine);
  std::vector<Message> received;
  greet(others_, others_);
  for (const int peer : others_) {
    inputs[peer] = scratch(all.size());
    received.push_back(receive(inputs[peer], all, peer, 0));
    send(mine, all, peer, 0);
  }
  check_greetings();
  for (const Message& message : received)
    if (message != nullptr) wait(message);
  std::vector<const void*> pointers;
  for (const at::Tensor& input : inputs) pointers.push_back(input.const_data_ptr());
  reduce_slice(pointers, whole.data_ptr(), all.size());
  finish();
}

void Exchange::all_reduce(const at::Tensor& whole) {
  const std::int64_t bytes = whole.numel();
  if (bytes <= kDirectBytes) return reduce_direct(whole);
  const std::int64_t lines = (bytes + kLineBytes - 1) / kLineBytes;
  const std::int64_t each = (lines + size() - 1) / size() * kLineBytes;
  std::vector<Section> sections;
  for (int i = 0; i < size(); ++i)
    sections.push_back({std::min(bytes, i * each), std::min(bytes, (i + 1) * each)});
  const Section mine = sections[rank()];
  reduce_sections(whole, sections, whole.narrow(0, mine.begin, mine.size()));
  gather_sections(whole, sections);
}

void Exchange::reduce_sections(const at::Tensor& whole, const std::vector<Section>& sections,
                               const at::Tensor& result) {
  const Section mine = sections[rank()];
  std::int64_t longest = 0;
  for (const Section& section : sections) longest = std::max(longest, section.size());
  const std::int64_t slices = (longest + kSliceBytes - 1) / kSliceBytes;
  // Two slices are under way: one arrives while the one before it is added up.
  const at::Tensor room = scratch(2 * size() * std::min(kSliceBytes, longest));
  const auto room_of = [&](std::int64_t slice, int peer) {
    return room.narrow(0, (slice % 2 * size() + peer) * std::min(kSliceBytes, longest),
                       mine.slice(slice).size());
  };
  std::vector<Message> received[2];
  const auto post = [&](std::int64_t slice) {
    received[slice % 2].clear();
    for (const int peer : others_) {
      received[slice % 2].push_back(
          receive(room_of(slice, peer), {0, mine.slice(slice).size()}, peer, slice));
      send(whole, sections[peer].slice(slice), peer, slice);
    }
  };
  greet(others_, others_);
  if (slices > 0) post(0);
  check_greetings();
  for (std::int64_t slice = 0; slice < slices; ++slice) {
    if (slice + 1 < slices) post(slice + 1);
    for (const Message& message : received[slice % 2])
      if (message != nullptr) wait(message);
    std::vector<const void*> inputs;
    for (int peer = 0; peer < size(); ++peer)
      inputs.push_back(peer == rank()
                           ? static_cast<const char*>(whole.const_data_ptr()) + mine.slice(slice).begin
                           : room_of(slice, peer).const_data_ptr());
    reduce_slice(inputs, static_cast<char*>(result.data_ptr()) + slice * kSliceBytes,
                 mine.slice(slice).size());
  }
  finish();
}

void Exchange::gather_sections(const at::Tensor& whole, const std::vector<Section>& sections) {
  constexpr std::int64_t kGatherStep = -1;
  std::vector<Message> received;
  if (call_.operation == Operation::all_gather) greet(others_, others_);
  for (const int peer : others_) {
    received.push_back(receive(whole, sections[peer], peer, kGatherStep));
    send(whole, sections[rank()], peer, kGatherStep);
  }
  check_greetings();
  for (const Message& message : received)
    if (message != nullptr) wait(message);
  finish();
}

// A binomial tree from the root: in each round every rank that has the values hands them to one that has not.
void Exchange::broadcast(const at::Tensor& values) {
  const int place = (rank() - call_.root + size()) % size();
  const auto rank_at = [&](int other) { return (other + call_.root) % size(); };
  std::vector<int> from, to;
  int bit = 1;
  for (; bit < size() && (place & bit) == 0; bit <<= 1) {
  }
  if (place != 0) from.push_back(rank_at(place - bit));
  for (bit >>= 1; bit > 0; bit >>= 1)
    if (place + bit < size()) to.push_back(rank_at(place + bit));
  const Section all{0, values.numel()};
  const std::int64_t slices = (all.size() + kSliceBytes - 1) / kSliceBytes;
  greet(to, from);
  std::vector<Message> received;
  for (std::int64_t slice = 0; slice < slices && !from.empty(); ++slice)
    received.push_back(receive(values, all.slice(slice), from[0], slice));
  check_greetings();
  for (std::int64_t slice = 0; slice < slices; ++slice) {
    if (!from.empty()) wait(received[slice]);
    for (const int peer : to) send(values, all.slice(slice), peer, slice);
  }
  finish();
}

class GlooCollectives final : public Collectives {
 public:
  GlooCollectives(Store& store, const Peers& peers, std::chrono::milliseconds patience)
      : Collectives(peers.rank, peers.size()), patience_(patience), links_(store, peers, patience) {}
  ~GlooCollectives() override { links_.abort(); }

  void abort(const CollectiveError& reason) override {
    queue_.fail_all(reason);
    links_.abort();
  }

 private:
  std::vector<Section> equal_sections(const at::Tensor& part) const {
    const std::int64_t bytes = bytes_of(part).numel();
    std::vector<Section> sections;
    for (int i = 0; i < size(); ++i) sections.push_back({i * bytes, (i + 1) * bytes});
    return sections;
  }
  // Runs `exchange(Exchange&)`, which holds its tensors.
  template <class Run>
  Pending start(const Call& call, Run exchange) {
    return queue_.add([this, call, exchange = std::move(exchange)] {
      Exchange messages(links_, call, patience_);
      exchange(messages);
    });
  }
  Pending start_all_reduce(const at::Tensor& values, Reduction reduction) override {
    return start(begun_call(*this, Operation::all_reduce, values, reduction),
                 [values](Exchange& exchange) { exchange.all_reduce(bytes_of(values)); });
  }
  Pending start_reduce_scatter(const at::Tensor& whole, const at::Tensor& part,
                               Reduction reduction) override {
    return start(begun_call(*this, Operation::reduce_scatter, whole, reduction),
                 [whole, part, sections = equal_sections(part)](Exchange& exchange) {
                   exchange.reduce_sections(bytes_of(whole), sections, bytes_of(part));
                 });
  }
  Pending start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    return start(begun_call(*this, Operation::all_gather, whole),
                 [part, whole, sections = equal_sections(part), rank = rank()](Exchange& exchange) {
                   char* mine = static_cast<char*>(whole.data_ptr()) + sections[rank].begin;
                   if (mine != part.const_data_ptr() && part.numel() > 0)
                     std::memcpy(mine, part.const_data_ptr(),
                                 static_cast<std::size_t>(sections[rank].size()));
                   exchange.gather_sections(bytes_of(whole), sections);
                 });
  }
  Pending start_broadcast(const at::Tensor& values, int root) override {
    return start(begun_call(*this, Operation::broadcast, values, Reduction::sum, root),
                 [values](Exchange& exchange) { exchange.broadcast(bytes_of(values)); });
  }
  Pending start_barrier() override {
    return start(begun_call(*this, Operation::barrier, scratch(0)),
                 [](Exchange& exchange) { exchange.barrier(); });
  }

  const std::chrono::milliseconds patience_;
  GlooLinks links_;
  CallQueue queue_;  // ends before the links do
};

}  // namespace

std::unique_ptr<Collectives> make_gloo_collectives(Store& store, const Peers& peers,
                                                   std::chrono::milliseconds patience) {
  return std::make_unique<GlooCollectives>(store, peers, patience);
}

}  // namespace omni::distributed
