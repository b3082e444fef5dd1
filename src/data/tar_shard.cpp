#include "tar_shard.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "omni/core/error.h"

namespace omni::data {

struct TarShardWriter::State {
  std::filesystem::path path;
  int descriptor = -1;
  archive* tar = nullptr;
  std::uint64_t written = 0;

  [[noreturn]] void fail_system(const char* action) const {
    const int error = errno;
    fail(ErrorKind::io, "cannot ", action, " '", path.string(), "': ", std::generic_category().message(error),
         ". Check the disk's free space and permissions");
  }
  void check(int result) const {
    if (result == ARCHIVE_OK) return;
    const char* reason = archive_error_string(tar);
    fail(ErrorKind::io, "cannot write '", path.string(), "': ", reason == nullptr ? "unknown reason" : reason,
         ". Check the disk's free space and permissions");
  }

  static la_ssize_t write_callback(archive* tar, void* data, const void* buffer, std::size_t length) {
    auto* self = static_cast<State*>(data);
    const char* bytes = static_cast<const char*>(buffer);
    for (std::size_t done = 0; done < length;) {
      const ssize_t n = ::write(self->descriptor, bytes + done, length - done);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        archive_set_error(tar, errno, "%s", std::generic_category().message(errno).c_str());
        return -1;
      }
      done += static_cast<std::size_t>(n);
    }
    self->written += length;
    return static_cast<la_ssize_t>(length);
  }
};

TarShardWriter::TarShardWriter(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  state_->path = path;
  state_->descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (state_->descriptor < 0) state_->fail_system("create");
  state_->tar = archive_write_new();
  ensure(state_->tar != nullptr, "libarchive has no memory");
  state_->check(archive_write_set_format_ustar(state_->tar));
  state_->check(archive_write_add_filter_none(state_->tar));
  // Unblocked, so that the count of written bytes is exact after every header.
  state_->check(archive_write_set_bytes_per_block(state_->tar, 0));
  state_->check(archive_write_open(state_->tar, state_.get(), nullptr, State::write_callback, nullptr));
}

TarShardWriter::~TarShardWriter() {
  if (state_->tar != nullptr) archive_write_free(state_->tar);
  if (state_->descriptor >= 0) ::close(state_->descriptor);
}

ByteRange TarShardWriter::add(const std::string& member, std::span<const std::byte> bytes) {
  const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                       archive_entry_free);
  ensure(entry != nullptr, "libarchive has no memory");
  archive_entry_set_pathname(entry.get(), member.c_str());
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes.size()));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_mtime(entry.get(), 0, 0);  // the same objects give the same archive
  state_->check(archive_write_header(state_->tar, entry.get()));
  const ByteRange range{state_->written, bytes.size()};
  const la_ssize_t n = archive_write_data(state_->tar, bytes.data(), bytes.size());
  if (n != static_cast<la_ssize_t>(bytes.size())) state_->check(ARCHIVE_FATAL);
  state_->check(archive_write_finish_entry(state_->tar));
  return range;
}

void TarShardWriter::finish() {
  state_->check(archive_write_close(state_->tar));
  if (::fsync(state_->descriptor) != 0) state_->fail_system("flush");
  const int descriptor = std::exchange(state_->descriptor, -1);
  if (::close(descriptor) != 0) state_->fail_system("close");
}

std::uint64_t TarShardWriter::bytes_written() const { return state_->written; }

std::string shard_name(int shard) {
  char name[32];
  std::snprintf(name, sizeof name, "shard-%05d.tar", shard);
  return name;
}

}  // namespace omni::data
