#include "omni/core/line_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "omni/core/error.h"

namespace omni {
namespace {

[[noreturn]] void fail_write(const std::filesystem::path& path, int error) {
  fail(ErrorKind::io, "cannot write to '", path.string(), "': ", std::generic_category().message(error), ". ",
       error == ENOSPC ? "Free some space on that disk and run again"
                       : "Check that its folder exists and can be written to");
}

}  // namespace

LineFile::LineFile(std::filesystem::path path)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) fail_write(path_, errno);
}

LineFile::~LineFile() { ::close(descriptor_); }

void LineFile::append(std::string_view line) {
  std::string whole(line);
  append_bytes(whole += '\n');
}

void LineFile::append_bytes(std::string_view record) {
  struct stat before {};
  if (::fstat(descriptor_, &before) != 0) fail_write(path_, errno);
  for (std::size_t done = 0; done < record.size();) {
    const ssize_t count = ::write(descriptor_, record.data() + done, record.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int error = count < 0 ? errno : ENOSPC;
      // Pipes and devices have no size to go back to, and nothing more can be done for them.
      if (done > 0 && ::ftruncate(descriptor_, before.st_size) != 0) fail_write(path_, error);
      fail_write(path_, error);
    }
    done += static_cast<std::size_t>(count);
  }
}

void LineFile::flush_to_disk() {
  if (::fsync(descriptor_) != 0) fail_write(path_, errno);
}

}  // namespace omni
