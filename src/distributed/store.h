#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace omni::distributed {

// The key-value store through which the ranks of a run find each other: c10d's TCPStore, whose server lies in
// rank 0 or in the launcher.

struct StoreAddress {
  std::string host;
  int port = 0;  // of a server: 0 takes any free one
};

class Store {
 public:
  struct Connection;

  // Both throw Error(io): where no server can be opened, and where none answers within `patience`.
  static std::unique_ptr<Store> serve(int port, const std::string& prefix);
  static std::unique_ptr<Store> connect(const StoreAddress& address, const std::string& prefix,
                                        std::chrono::milliseconds patience);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // A connection of its own to the same server: calls on one connection wait for each other.
  std::unique_ptr<Store> another_connection() const;

  // All throw Error(io) where the server is gone; a server that is stopped holds them up.
  void set(const std::string& key, const std::string& value);
  // The value that the key has then: `value`, or what was there before, unless that was empty.
  std::string set_first(const std::string& key, const std::string& value);
  std::optional<std::string> get(const std::string& key);
  // Waits until the key is there; nothing where it is not within `patience`.
  std::optional<std::string> wait(const std::string& key, std::chrono::milliseconds patience);
  // Of keys that are all there.
  std::vector<std::string> get_all(const std::vector<std::string>& keys);

  int port() const;
  Connection& connection() const { return *connection_; }  // for those who speak c10d

 private:
  explicit Store(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace omni::distributed
