#include "zip_member.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "text_scanner.h"

namespace omni::geometry {
namespace {

using Bytes = std::span<const std::byte>;

std::size_t integer(Bytes bytes, std::size_t offset, std::size_t count) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::to_integer<std::size_t>(bytes[offset + i]) << 8 * i;
  return value;
}

bool has_mark(Bytes bytes, std::size_t offset, std::string_view mark) {
  return offset <= bytes.size() && as_text(bytes.subspan(offset)).starts_with(mark);
}

struct Member {
  std::size_t local_header = 0, packed_bytes = 0, method = 0;
};

// In the directory at the archive's end.
std::optional<Member> find_member(Bytes archive, std::string_view name, std::string_view ending) {
  constexpr std::size_t kEndBytes = 22, kEntryBytes = 46;
  const std::size_t end = as_text(archive).rfind("PK\5\6");
  if (end == std::string_view::npos || archive.size() - end < kEndBytes) return std::nullopt;
  std::optional<Member> by_ending;
  std::size_t at = integer(archive, end + 16, 4);
  while (has_mark(archive, at, "PK\1\2") && archive.size() - at >= kEntryBytes) {
    const std::size_t name_bytes = integer(archive, at + 28, 2);
    if (archive.size() - at - kEntryBytes < name_bytes) break;
    const std::string_view entry = as_text(archive.subspan(at + kEntryBytes, name_bytes));
    const Member member{integer(archive, at + 42, 4), integer(archive, at + 20, 4),
                        integer(archive, at + 10, 2)};
    if (entry == name) return member;
    if (!by_ending && entry.ends_with(ending)) by_ending = member;
    at += kEntryBytes + name_bytes + integer(archive, at + 30, 2) + integer(archive, at + 32, 2);
  }
  return by_ending;
}

std::string inflated(Bytes packed, std::size_t limit) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return {};
  std::string text(limit, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
  stream.avail_in = static_cast<uInt>(std::min<std::size_t>(packed.size(), UINT32_MAX));
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  inflate(&stream, Z_SYNC_FLUSH);  // broken data end the text where they break
  text.resize(text.size() - stream.avail_out);
  inflateEnd(&stream);
  return text;
}

}  // namespace

std::string read_zip_member(Bytes archive, std::string_view name, std::string_view ending,
                            std::size_t limit) {
  constexpr std::size_t kLocalBytes = 30, kStored = 0, kDeflated = 8;
  const std::optional<Member> member = find_member(archive, name, ending);
  if (!member || !has_mark(archive, member->local_header, "PK\3\4") ||
      archive.size() - member->local_header < kLocalBytes)
    return {};
  const std::size_t begin = member->local_header + kLocalBytes +
                            integer(archive, member->local_header + 26, 2) +
                            integer(archive, member->local_header + 28, 2);
  if (begin > archive.size()) return {};
  const Bytes packed = archive.subspan(begin, std::min(member->packed_bytes, archive.size() - begin));
  if (member->method == kDeflated) return inflated(packed, limit);
  return member->method == kStored ? std::string(as_text(packed).substr(0, limit)) : std::string();
}

}  // namespace omni::geometry
