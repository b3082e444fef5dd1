#include "gloo_links.h"

#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO  // without it the header declares nothing
#endif
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <algorithm>
#include <cstdlib>

#include "network_address.h"
#include "omni/core/error.h"
#include "omni/core/text_format.h"
#include "omni/distributed/collectives.h"
#include "store_connection.h"

namespace omni::distributed {

bool Peers::on_one_host() const {
  return std::all_of(hosts.begin(), hosts.end(), [&](const std::string& host) { return host == hosts[0]; });
}

std::string Peers::name(int peer) const { return concat("rank ", peer, " on ", hosts.at(peer)); }

struct GlooLinks::Group {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
};

struct GlooLinks::Message {
  std::vector<at::Tensor> values;  // one, as c10d wants it
  int peer;
  c10::intrusive_ptr<c10d::Work> work;  // none: it has failed already, for this reason
  std::string failure = "the calls of this rank were ended";
};

GlooLinks::GlooLinks(Store& store, Peers peers, std::chrono::milliseconds patience)
    : peers_(std::move(peers)), group_(std::make_unique<Group>()) {
  try {
    const auto options = c10d::ProcessGroupGloo::Options::create(patience);
    options->threads = 1;  // of c10d's own collectives, which are not used
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    const c10d::TCPStore& server = *store.connection().tcp;
    options->devices.push_back(
        interface != nullptr
            ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
            : c10d::ProcessGroupGloo::createDeviceForHostname(
                  peers_.on_one_host() ? "127.0.0.1" : address_towards(server.getHost(), server.getPort())));
    group_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(store.connection().keys, peers_.rank,
                                                               peers_.size(), options);
  } catch (const std::exception& error) {
    fail(ErrorKind::io, peers_.name(peers_.rank),
         " cannot connect to the other ranks: ", first_line(error.what()),
         ". Set GLOO_SOCKET_IFNAME to the network interface between the hosts");
  }
}

GlooLinks::~GlooLinks() { abort(); }

// Gloo refuses a message to a rank that it knows to be gone; that is told where the message is waited for.
template <class Post>
std::shared_ptr<GlooLinks::Message> GlooLinks::start(const at::Tensor& values, int peer, const Post& post) {
  auto message = std::make_shared<Message>(Message{{values}, peer});
  const std::lock_guard lock(mutex_);
  try {
    if (!aborted_) message->work = post(message->values);
  } catch (const std::exception& error) {
    message->failure = first_line(error.what());
  }
  return under_way_.emplace_back(std::move(message));
}

std::shared_ptr<GlooLinks::Message> GlooLinks::send(const at::Tensor& values, int to, int tag) {
  return start(values, to, [&](std::vector<at::Tensor>& all) { return group_->gloo->send(all, to, tag); });
}

std::shared_ptr<GlooLinks::Message> GlooLinks::receive(const at::Tensor& values, int from, int tag) {
  return start(values, from,
               [&](std::vector<at::Tensor>& all) { return group_->gloo->recv(all, from, tag); });
}

void GlooLinks::wait(const std::shared_ptr<Message>& message, Clock::time_point end,
                     const std::string& during) {
  using std::chrono::milliseconds;
  const Clock::time_point now = Clock::now();
  // 0 would stand for Gloo's own patience.
  const auto patience = std::max(milliseconds(1), std::chrono::duration_cast<milliseconds>(end - now));
  std::string reason = message->failure;
  try {
    if (message->work != nullptr && message->work->wait(patience)) {
      const std::lock_guard lock(mutex_);
      std::erase(under_way_, message);
      return;
    }
  } catch (const std::exception& error) {
    reason = first_line(error.what());
  }
  const bool timed_out = Clock::now() >= end;
  throw CollectiveError(
      concat(peers_.name(message->peer),
             timed_out ? concat(" did not answer in time") : concat(" is gone (", reason, ")"), during),
      message->peer, timed_out);
}

void GlooLinks::abort() {
  const std::lock_guard lock(mutex_);
  aborted_ = true;
  for (const std::shared_ptr<Message>& message : under_way_)
    if (message->work != nullptr) message->work->abort();
}

}  // namespace omni::distributed
