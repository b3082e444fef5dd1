#include "omni/core/file_turn.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "descriptor.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"

namespace omni {

FileTurn::FileTurn(const std::filesystem::path& file, std::string_view waiting)
    : file_(std::make_unique<Descriptor>(::open(file.c_str(), O_RDONLY | O_CLOEXEC))) {
  constexpr std::chrono::milliseconds kBetweenTries(100);
  bool told = false;
  while (file_->get() >= 0 && ::flock(file_->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return;
    if (!std::exchange(told, true)) log_info(waiting);
    throw_if_interrupted();
    std::this_thread::sleep_for(kBetweenTries);
  }
}

FileTurn::~FileTurn() = default;

}  // namespace omni
