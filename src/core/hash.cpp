#include "omni/core/hash.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "descriptor.h"
#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni {

std::uint64_t hash_string(std::string_view text) { return XXH64(text.data(), text.size(), 0); }

struct StreamHash::State {
  XXH64_state_t* hash = XXH64_createState();
  ~State() { XXH64_freeState(hash); }
};

StreamHash::StreamHash() : state_(std::make_unique<State>()) {
  ensure(state_->hash != nullptr && XXH64_reset(state_->hash, 0) == XXH_OK, "a hash could not be set up");
}
StreamHash::~StreamHash() = default;

void StreamHash::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH64_update(state_->hash, bytes.data(), bytes.size());
}
void StreamHash::add(std::string_view text) { add(std::as_bytes(std::span(text))); }
std::uint64_t StreamHash::value() const { return XXH64_digest(state_->hash); }

std::uint64_t hash_file(const std::filesystem::path& path) {
  const auto fail_with = [&](int error) {
    fail(ErrorKind::io, "cannot read '", path.string(), "': ", std::generic_category().message(error),
         ". Check the path");
  };
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.get() < 0) fail_with(errno);
  StreamHash hash;
  std::vector<std::byte> piece(std::size_t{1} << 20);
  while (true) {
    const ssize_t count = ::read(descriptor.get(), piece.data(), piece.size());
    if (count == 0) return hash.value();
    if (count > 0) {
      hash.add(std::span(piece).first(static_cast<std::size_t>(count)));
    } else if (errno != EINTR) {
      fail_with(errno);
    }
  }
}

}  // namespace omni
