#include "omni/core/files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "descriptor.h"
#include "omni/core/error.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_io(std::string_view action, const fs::path& path, int error) {
  const std::string reason = std::generic_category().message(error);
  const char* advice = error == ENOENT   ? "Check the path"
                       : error == ENOSPC ? "Free some space on that disk and run again"
                       : error == EACCES ? "Check the permissions"
                       : error == EROFS  ? "Choose an output folder that can be written to"
                                         : "Check the path and the disk";
  fail(ErrorKind::io, "cannot ", action, " '", path.string(), "': ", reason, ". ", advice);
}

fs::path temporary_beside(const fs::path& path) {
  static std::atomic<unsigned> counter{0};
  fs::path name = path.filename();
  name += concat(".", ::getpid(), ".", counter.fetch_add(1), ".tmp");
  return path.parent_path() / name;
}

// The process in "<name>.<process>.<number>.tmp", as temporary_beside() makes it of `name`; 0: another name.
pid_t maker_of(const std::string& temporary, const std::string& name) {
  if (!temporary.starts_with(name + ".") || !temporary.ends_with(".tmp")) return 0;
  const char* at = temporary.data() + name.size() + 1;
  const char* const end = temporary.data() + temporary.size() - std::strlen(".tmp");
  pid_t process = 0;
  unsigned number = 0;
  const auto [dot, error] = std::from_chars(at, end, process);
  if (error != std::errc() || dot == end || *dot != '.') return 0;
  const auto [last, number_error] = std::from_chars(dot + 1, end, number);
  return number_error == std::errc() && last == end ? process : 0;
}

// An open folder under a lock that ends with the process. -1 where there is none, with errno: EWOULDBLOCK where somebody
// else holds it.
int lock_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || ::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

bool is_of_name(int folder, const fs::path& path) {
  struct stat open {};
  struct stat named {};
  return ::fstat(folder, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_ino == named.st_ino &&
         open.st_dev == named.st_dev;
}

// Removes the staging folders of `path` whose makers are no more. A process number alone does not tell: it is
// given out anew, and means nothing on another machine or in another container.
void remove_abandoned(const fs::path& path) {
  std::error_code ignored;
  const std::string name = path.filename().string();
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::vector<fs::path> abandoned;
  fs::directory_iterator at(parent, ignored);
  for (const fs::directory_iterator end; at != end; at.increment(ignored)) {
    const pid_t maker = maker_of(at->path().filename().string(), name);
    if (maker <= 0 || !at->is_directory(ignored)) continue;
    const bool may_be_alive = maker != ::getpid() && (::kill(maker, 0) == 0 || errno != ESRCH);
    if (!may_be_alive) abandoned.push_back(at->path());
  }
  for (const fs::path& folder : abandoned)
    if (const Descriptor lock(lock_folder(folder)); lock.get() >= 0) fs::remove_all(folder, ignored);
}

// A new staging folder of `path`. -> lock_folder() of it; -1 where the file system has no locks. Whoever looks for
// abandoned ones between making and locking it takes it away: then another is made.
int make_locked(const fs::path& path, fs::path& staging) {
  constexpr int kAttempts = 1000;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    staging = temporary_beside(path);
    std::error_code error;
    if (!fs::create_directory(staging, error)) fail_io("create", staging, error ? error.value() : EEXIST);
    const int lock = lock_folder(staging);
    if (lock < 0 && errno != EWOULDBLOCK && errno != ENOENT) return lock;
    if (lock >= 0 && is_of_name(lock, staging)) return lock;
    if (lock >= 0) ::close(lock);
  }
  fail(ErrorKind::io, "filling the folder '", path.string(),
       "': others that fill it take away what is begun. Run them one after the other");
}

void sync_tree(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const Descriptor descriptor(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    if (descriptor.get() < 0 || ::fsync(descriptor.get()) != 0) fail_io("flush", entry.path(), errno);
  }
}

}  // namespace

void sync_folder(const fs::path& folder) {
  const Descriptor descriptor(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Best effort: some file systems refuse to sync folders, and the data itself is already on disk.
  if (descriptor.get() >= 0) ::fsync(descriptor.get());
}

std::vector<std::byte> read_file_bytes(const fs::path& path, std::uint64_t limit_bytes) {
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.get() < 0) fail_io("open", path, errno);
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) fail_io("inspect", path, errno);
  if (S_ISDIR(status.st_mode))
    fail(ErrorKind::io, "cannot read '", path.string(), "': it is a folder. Give a file");
  if (S_ISREG(status.st_mode) && static_cast<std::uint64_t>(status.st_size) > limit_bytes) {
    fail(ErrorKind::io, "cannot read '", path.string(), "': it has ", status.st_size, " bytes, the limit is ",
         limit_bytes, ". Is it the right file?");
  }
  // Pipes and /proc tell no size, so the file is read until it ends.
  std::vector<std::byte> bytes(S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) + 1
                                                       : 65536);
  std::size_t filled = 0;
  while (true) {
    if (filled == bytes.size()) bytes.resize(bytes.size() * 2);
    const ssize_t count = ::read(descriptor.get(), bytes.data() + filled, bytes.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io("read", path, errno);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
    if (filled > limit_bytes)
      fail(ErrorKind::io, "cannot read '", path.string(), "': it is larger than ", limit_bytes, " bytes");
  }
  bytes.resize(filled);
  return bytes;
}

std::string read_file_text(const fs::path& path, std::uint64_t limit_bytes) {
  const std::vector<std::byte> bytes = read_file_bytes(path, limit_bytes);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

struct AtomicFile::State {
  fs::path path;
  fs::path temporary;
  Descriptor descriptor;
  bool committed = false;
};

AtomicFile::AtomicFile(fs::path path) {
  fs::path temporary = temporary_beside(path);
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) fail_io("write", path, errno);
  // A descriptor cannot be moved into an argument of make_unique. NOLINTNEXTLINE(modernize-make-unique)
  state_.reset(new State{std::move(path), std::move(temporary), Descriptor(fd)});
}

AtomicFile::~AtomicFile() {
  if (state_ && !state_->committed) ::unlink(state_->temporary.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(state_->descriptor.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io("write", state_->path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::rewrite_start(std::string_view text) {
  const auto go_to = [this](int whence) {
    if (::lseek(state_->descriptor.get(), 0, whence) < 0) fail_io("write", state_->path, errno);
  };
  go_to(SEEK_SET);
  write(text);
  go_to(SEEK_END);
}

void AtomicFile::commit() {
  if (::fsync(state_->descriptor.get()) != 0) fail_io("flush", state_->path, errno);
  if (const int error = state_->descriptor.close()) fail_io("close", state_->path, error);
  if (::rename(state_->temporary.c_str(), state_->path.c_str()) != 0) fail_io("write", state_->path, errno);
  state_->committed = true;
  sync_folder(state_->path.parent_path());
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

void require_replaceable(const fs::path& path, std::string_view marker) {
  if (!fs::exists(path)) return;
  if (!fs::is_directory(path))
    fail(ErrorKind::usage, "cannot write the folder '", path.string(),
         "': a file has that name. Choose another folder");
  if (!fs::is_empty(path) && !fs::exists(path / marker))
    fail(ErrorKind::usage, "cannot write the folder '", path.string(),
         "': it holds other things, which would be lost (there is no ", marker,
         " in it). Choose another folder, or empty it");
}

struct AtomicDirectory::Lock {
  explicit Lock(int fd) : descriptor(fd) {}
  Descriptor descriptor;
};

AtomicDirectory::AtomicDirectory(fs::path path, std::string_view marker) : path_(std::move(path)) {
  if (path_.filename().empty()) path_ = path_.parent_path();
  // What a link leads to is replaced, not the link.
  if (fs::is_symlink(path_)) {
    if (!fs::exists(path_))
      fail(ErrorKind::usage, "cannot write the folder '", path_.string(),
           "': it is a link that leads nowhere. Remove the link, or choose another folder");
    path_ = fs::canonical(path_);
  }
  require_replaceable(path_, marker);
  if (path_.has_parent_path()) prepare_output_directory(path_.parent_path());
  remove_abandoned(path_);
  lock_ = std::make_unique<Lock>(make_locked(path_, staging_));
}

AtomicDirectory::~AtomicDirectory() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove_all(staging_, ignored);
}

void AtomicDirectory::commit() {
  sync_tree(staging_);
  // rename(2) cannot replace a folder that has files in it. Where the file system can exchange two names,
  // there is no moment without a folder of this name; elsewhere the old one steps aside first.
  std::error_code error;
  fs::path old;
  if (fs::exists(path_)) {
    old = staging_;
    if (::renameat2(AT_FDCWD, staging_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) != 0) {
      old = temporary_beside(path_);
      fs::rename(path_, old, error);
      if (error) fail_io("replace", path_, error.value());
    }
  }
  if (old != staging_) {
    fs::rename(staging_, path_, error);
    if (error) {
      std::error_code ignored;
      if (!old.empty()) fs::rename(old, path_, ignored);
      fail_io("write", path_, error.value());
    }
  }
  committed_ = true;
  if (!old.empty()) fs::remove_all(old, error);
  sync_folder(path_.parent_path());
}

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(folder, error);
  for (const std::filesystem::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    std::error_code dangling;  // a link that leads nowhere is no file
    if (at->is_regular_file(dangling)) files.push_back(at->path());
  }
  if (error)
    fail(ErrorKind::io, "cannot read the folder ", folder, ": ", error.message(), ". Check the path");
  std::sort(files.begin(), files.end());
  return files;
}

void require_writable(const fs::path& path) {
  fs::path existing = fs::absolute(path).lexically_normal();
  std::error_code error;
  while (!fs::exists(existing, error) && !error && existing.has_relative_path())
    existing = existing.parent_path();
  if (error) fail_io("write to the folder", path, error.value());
  if (!fs::is_directory(existing))
    fail(ErrorKind::io, "cannot write to '", path.string(), "': '", existing.string(), "' is not a folder");
  if (::access(existing.c_str(), W_OK) != 0) fail_io("write to the folder", existing, errno);
}

void prepare_output_directory(const fs::path& path) {
  if (path.empty()) return;
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail_io("create the folder", path, error.value());
  if (!fs::is_directory(path))
    fail(ErrorKind::io, "cannot write to '", path.string(), "': it is not a folder");
  if (::access(path.c_str(), W_OK) != 0) fail_io("write to the folder", path, errno);
}

}  // namespace omni
