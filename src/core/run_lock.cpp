#include "omni/core/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <string>
#include <system_error>
#include <vector>

#include "descriptor.h"
#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/system_info.h"
#include "omni/core/text_format.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

// Folders that were not there before; the empty ones go again.
class MadeFolders {
 public:
  explicit MadeFolders(const fs::path& folder) {
    std::error_code error;
    for (fs::path at = folder; !at.empty() && !fs::exists(at, error); at = at.parent_path())
      made_.push_back(at);
    if (!folder.empty()) fs::create_directories(folder, error_);
  }
  ~MadeFolders() {
    for (const fs::path& folder : made_) ::rmdir(folder.c_str());
  }
  MadeFolders(const MadeFolders&) = delete;
  MadeFolders& operator=(const MadeFolders&) = delete;
  const std::error_code& error() const { return error_; }

 private:
  std::vector<fs::path> made_;  // the deepest first
  std::error_code error_;
};

std::string this_process() {
  const std::string host = host_name();
  std::array<char, 256> since{};
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(since.data(), since.size(), "%Y-%m-%d %H:%M:%S UTC", &utc);
  return concat("process ", ::getpid(), host.empty() ? "" : " on ", host, ", since ", since.data());
}

// What the holder wrote; it may be writing still.
std::string holder_in(int descriptor) {
  std::array<char, 512> text{};
  const ssize_t count = ::pread(descriptor, text.data(), text.size(), 0);
  const std::string holder = first_line({text.data(), static_cast<std::size_t>(std::max<ssize_t>(0, count))});
  const bool plain = std::all_of(holder.begin(), holder.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return plain && !holder.empty() ? holder : "another process";
}

bool is_file_at(int descriptor, const fs::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

}  // namespace

struct RunLock::State {
  explicit State(fs::path locked) : file(std::move(locked)), folders(file.parent_path()) {}
  fs::path file;
  MadeFolders folders;  // outlives the file in it
  std::unique_ptr<Descriptor> descriptor;
};

RunLock::RunLock(fs::path file, std::string_view action) : state_(std::make_unique<State>(std::move(file))) {
  const fs::path& path = state_->file;
  const auto refuse_io = [&](const std::string& reason) {
    fail(ErrorKind::io, action, ": cannot make '", path.string(), "': ", reason,
         ". Check the folder and its permissions");
  };
  if (state_->folders.error()) refuse_io(state_->folders.error().message());
  while (true) {
    state_->descriptor =
        std::make_unique<Descriptor>(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    const int descriptor = state_->descriptor->get();
    if (descriptor < 0) refuse_io(std::generic_category().message(errno));
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK)
        fail(ErrorKind::usage, action, ": in use by ", holder_in(descriptor),
             ". Wait for it or stop it, or choose another output");
      log_warning(action, ": cannot lock '", path.string(), "': ", std::generic_category().message(errno),
                  ". Make sure that no other process writes there");
      break;
    }
    // Whoever held it until now may have removed the file after it was opened here.
    if (is_file_at(descriptor, path)) break;
  }
  const std::string text = this_process() + "\n";
  const int descriptor = state_->descriptor->get();
  if (::ftruncate(descriptor, 0) != 0 ||
      ::pwrite(descriptor, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    log_warning(action, ": cannot write to '", path.string(), "'");  // the lock holds without the words
}

RunLock::~RunLock() { ::unlink(state_->file.c_str()); }

}  // namespace omni
