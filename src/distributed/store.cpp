#include "store.h"

#include <c10/util/Logging.h>

#include <algorithm>
#include <thread>

#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/text_format.h"
#include "store_connection.h"

namespace omni::distributed {
namespace {

constexpr std::chrono::milliseconds kLongestAttempt{8000};

// c10d also writes to standard error what it throws, with its stack, and each new attempt to connect: what is
// to be said of it is said once, by the Error.
void silence_c10d() { FLAGS_caffe2_log_level = ::c10::GLOG_FATAL; }

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

std::unique_ptr<Store::Connection> wrap(c10::intrusive_ptr<c10d::TCPStore> tcp, const std::string& prefix) {
  auto connection = std::make_unique<Store::Connection>();
  connection->keys = c10::make_intrusive<c10d::PrefixStore>(prefix, tcp);
  connection->tcp = std::move(tcp);
  connection->prefix = prefix;
  return connection;
}

// c10d throws its own errors, of several types, with a stack trace in their text.
template <class Call>
auto reach(const Store::Connection& connection, const Call& call) {
  try {
    return call();
  } catch (const std::exception& error) {
    fail(ErrorKind::io, "the ranks' store at ", connection.tcp->getHost(), ":", connection.tcp->getPort(),
         " does not answer: ", first_line(error.what()));
  }
}

}  // namespace

Store::Store(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Store::~Store() = default;

std::unique_ptr<Store> Store::serve(int port, const std::string& prefix) {
  silence_c10d();
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(port);
  options.isServer = true;
  options.waitWorkers = false;
  try {
    return std::unique_ptr<Store>(
        new Store(wrap(c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options), prefix)));
  } catch (const std::exception& error) {
    fail(ErrorKind::io, "opening the ranks' store at port ", port, ": ", first_line(error.what()),
         ". Set MASTER_PORT to a free port on every rank");
  }
}

std::unique_ptr<Store> Store::connect(const StoreAddress& address, const std::string& prefix,
                                      std::chrono::milliseconds patience) {
  silence_c10d();
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(address.port);
  options.waitWorkers = false;
  const auto end = std::chrono::steady_clock::now() + patience;
  // In attempts, so that whoever asks this rank to stop need not wait for one that never comes.
  for (std::chrono::milliseconds attempt{500};; attempt = std::min(attempt * 2, kLongestAttempt)) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    options.timeout = std::clamp(left, std::chrono::milliseconds(1), attempt);
    try {
      auto tcp = c10::make_intrusive<c10d::TCPStore>(address.host, options);
      tcp->setTimeout(patience);
      return std::unique_ptr<Store>(new Store(wrap(std::move(tcp), prefix)));
    } catch (const std::exception& error) {
      if (interrupt_requested())
        fail(stop_kind(), "joining the ranks' store at ", address.host, ":", address.port,
             ": asked to stop before it answered");
      if (left > attempt) continue;
      fail(ErrorKind::io, "joining the ranks' store at ", address.host, ":", address.port,
           ": none answers in ", std::chrono::duration<double>(patience).count(), " s (",
           first_line(error.what()), "). Check that rank 0 runs, MASTER_ADDR, MASTER_PORT and the firewall");
    }
  }
}

std::unique_ptr<Store> Store::another_connection() const {
  // A server's own port is not what a client of another host sees, but this one is on its host.
  return reach(*connection_, [&] {
    c10d::TCPStoreOptions options;
    options.port = connection_->tcp->getPort();
    options.waitWorkers = false;
    return std::unique_ptr<Store>(new Store(wrap(
        c10::make_intrusive<c10d::TCPStore>(connection_->tcp->getHost(), options), connection_->prefix)));
  });
}

void Store::set(const std::string& key, const std::string& value) {
  reach(*connection_, [&] { connection_->keys->set(key, bytes_of(value)); });
}

std::string Store::set_first(const std::string& key, const std::string& value) {
  return reach(*connection_,
               [&] { return text_of(connection_->keys->compareSet(key, bytes_of(""), bytes_of(value))); });
}

std::optional<std::string> Store::get(const std::string& key) {
  return reach(*connection_, [&]() -> std::optional<std::string> {
    if (!connection_->keys->check({key})) return std::nullopt;
    return text_of(connection_->keys->get(key));
  });
}

std::optional<std::string> Store::wait(const std::string& key, std::chrono::milliseconds patience) {
  // Asked again and again: a wait inside the store would hold up this connection, and a time-out could not be
  // told from a store that is gone.
  const auto end = std::chrono::steady_clock::now() + patience;
  for (std::chrono::milliseconds pause{1};; pause = std::min(pause * 2, std::chrono::milliseconds(50))) {
    if (std::optional<std::string> value = get(key)) return value;
    if (std::chrono::steady_clock::now() >= end) return std::nullopt;
    std::this_thread::sleep_for(pause);
  }
}

std::vector<std::string> Store::get_all(const std::vector<std::string>& keys) {
  return reach(*connection_, [&] {
    std::vector<std::string> values;
    for (const std::vector<std::uint8_t>& value : connection_->keys->multiGet(keys))
      values.push_back(text_of(value));
    return values;
  });
}

int Store::port() const { return connection_->tcp->getPort(); }

}  // namespace omni::distributed
