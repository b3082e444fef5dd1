#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store.h"

namespace omni::distributed {

// Messages between the ranks of a run: the sends and receives of c10d's Gloo over TCP.

// The ranks of a run, from one of them.
struct Peers {
  int rank = 0;
  std::vector<std::string> hosts;  // of each rank
  int size() const { return static_cast<int>(hosts.size()); }
  bool on_one_host() const;
  std::string name(int peer) const;  // "rank 3 on node7"
};

class GlooLinks {
 public:
  using Clock = std::chrono::steady_clock;
  struct Message;

  // Connects each rank with each. Binds to the network interface GLOO_SOCKET_IFNAME, else to the one over
  // which the store is reached. Throws Error(io).
  GlooLinks(Store& store, Peers peers, std::chrono::milliseconds patience);
  ~GlooLinks();

  // Messages between two ranks meet by their tag, from 0 to 2^31 - 1, those of one tag in order; they must
  // agree on the count of bytes. Contiguous tensors, held until the message is waited for.
  std::shared_ptr<Message> send(const at::Tensor& values, int to, int tag);
  std::shared_ptr<Message> receive(const at::Tensor& values, int from, int tag);
  // Throws CollectiveError, which ends with `during`.
  void wait(const std::shared_ptr<Message>& message, Clock::time_point end, const std::string& during);

  // From any thread: messages under way and to come fail.
  void abort();
  const Peers& peers() const { return peers_; }

 private:
  struct Group;
  template <class Post>
  std::shared_ptr<Message> start(const at::Tensor& values, int peer, const Post& post);

  Peers peers_;
  std::unique_ptr<Group> group_;
  std::mutex mutex_;  // of the two below
  // A message that failed stays: what belongs to it may still arrive.
  std::vector<std::shared_ptr<Message>> under_way_;
  bool aborted_ = false;
};

}  // namespace omni::distributed
