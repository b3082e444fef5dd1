#include "tar_shard.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>
#include <utility>

#include "omni/core/error.h"

namespace omni::data {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kNameBytes = 100, kPrefixBytes = 155;
constexpr std::uint64_t kMaximumMemberBytes = (std::uint64_t{1} << 33) - 1;  // eleven octal digits

// The two fields whose text, joined by a slash, is the member's name.
struct SplitName {
  std::string_view prefix, name;
};

SplitName split_name(std::string_view member) {
  if (!member.empty() && member.size() <= kNameBytes) return {{}, member};
  for (std::size_t at = member.find('/'); at != std::string_view::npos; at = member.find('/', at + 1)) {
    const std::string_view rest = member.substr(at + 1);
    if (at > 0 && at <= kPrefixBytes && !rest.empty() && rest.size() <= kNameBytes)
      return {member.substr(0, at), rest};
  }
  fail(ErrorKind::input, "writing a shard: '", member,
       "' is no name that a tar archive can hold. Give it at most ", kNameBytes, " bytes");
}

using Header = std::array<char, kBlock>;

void put(Header& header, std::size_t at, std::string_view text) {
  text.copy(header.data() + at, text.size());
}

// The same objects give the same archive: no time, no owner.
Header header_of(const std::string& member, std::uint64_t size) {
  Header header{};
  const auto [prefix, name] = split_name(member);
  char digits[16];
  std::snprintf(digits, sizeof digits, "%011llo ", static_cast<unsigned long long>(size));
  put(header, 0, name);
  put(header, 100, "000644 ");
  put(header, 108, "000000 ");
  put(header, 116, "000000 ");
  put(header, 124, digits);
  put(header, 136, "00000000000 ");
  put(header, 148, "        ");  // the checksum counts itself as spaces
  put(header, 156, "0");         // an ordinary file
  put(header, 257, std::string_view("ustar\00000", 8));
  put(header, 329, "000000 ");
  put(header, 337, "000000 ");
  put(header, 345, prefix);
  unsigned sum = 0;
  for (const char byte : header) sum += static_cast<unsigned char>(byte);
  std::snprintf(digits, sizeof digits, "%06o", sum);
  put(header, 148, std::string_view(digits, 7));  // with its final zero
  return header;
}

}  // namespace

TarShardWriter::TarShardWriter(const std::filesystem::path& path)
    : path_(path), descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) fail_system("create");
}

TarShardWriter::~TarShardWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void TarShardWriter::fail_system(const char* action) const {
  const int error = errno;
  fail(ErrorKind::io, "cannot ", action, " '", path_.string(), "': ", std::generic_category().message(error),
       ". Check the disk's free space and permissions");
}

void TarShardWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail_system("write");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    written_ += static_cast<std::uint64_t>(count);
  }
}

ByteRange TarShardWriter::add(const std::string& member, std::span<const std::byte> bytes) {
  ensure(bytes.size() <= kMaximumMemberBytes, "a member of ", bytes.size(),
         " bytes is too large for a tar archive");
  const Header header = header_of(member, bytes.size());
  write(std::as_bytes(std::span(header)));
  const ByteRange range{written_, bytes.size()};
  write(bytes);
  constexpr std::array<std::byte, kBlock> kPadding{};
  write(std::span(kPadding).first((kBlock - bytes.size() % kBlock) % kBlock));
  return range;
}

void TarShardWriter::finish() {
  constexpr std::array<std::byte, 2 * kBlock> kEnd{};
  write(kEnd);
  if (::fsync(descriptor_) != 0) fail_system("flush");
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_system("close");
}

std::string shard_name(int shard) {
  char name[32];
  std::snprintf(name, sizeof name, "shard-%05d.tar", shard);
  return name;
}

}  // namespace omni::data
