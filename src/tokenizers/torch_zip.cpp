#include "torch_zip.h"

#include <cstdint>

#include "omni/core/error.h"

namespace omni::tokenizers {
namespace {

using Bytes = std::span<const std::byte>;

Bytes slice(Bytes bytes, std::uint64_t offset, std::uint64_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset)
    fail(ErrorKind::input, "the zip archive is truncated");
  return bytes.subspan(offset, size);
}

std::uint64_t little_endian(Bytes bytes, std::uint64_t offset, int size) {
  const Bytes field = slice(bytes, offset, size);
  std::uint64_t value = 0;
  for (int i = size - 1; i >= 0; --i) value = value << 8 | std::to_integer<std::uint64_t>(field[i]);
  return value;
}

constexpr std::uint64_t wide_marker = 0xFFFFFFFF;

struct Directory {
  std::uint64_t offset, entries;
};

Directory find_directory(Bytes bytes) {
  constexpr std::uint64_t record_size = 22, longest_comment = 65535;
  if (bytes.size() < record_size) fail(ErrorKind::input, "it is too short for a zip archive");
  const std::uint64_t last = bytes.size() - record_size;
  const std::uint64_t first = last > longest_comment ? last - longest_comment : 0;
  for (std::uint64_t at = last + 1; at-- > first;) {
    if (little_endian(bytes, at, 4) != 0x06054B50) continue;
    Directory directory{little_endian(bytes, at + 16, 4), little_endian(bytes, at + 10, 2)};
    if (at >= 20 &&
        little_endian(bytes, at - 20, 4) == 0x07064B50) {  // zip64: its record holds the wide numbers
      const std::uint64_t record = little_endian(bytes, at - 12, 8);
      if (little_endian(bytes, record, 4) != 0x06064B50)
        fail(ErrorKind::input, "the zip64 record is damaged");
      directory = {little_endian(bytes, record + 48, 8), little_endian(bytes, record + 32, 8)};
    }
    return directory;
  }
  fail(ErrorKind::input, "it is no zip archive (no end record)");
}

struct Entry {
  std::uint64_t size, offset;
};

// Replaces fields that were too wide for 32 bits from the zip64 extra field.
void widen(Bytes extra, std::uint64_t& packed_size, Entry& entry) {
  for (std::uint64_t at = 0; at + 4 <= extra.size();) {
    const std::uint64_t id = little_endian(extra, at, 2), size = little_endian(extra, at + 2, 2);
    const Bytes body = slice(extra, at + 4, size);
    if (id == 1) {
      std::uint64_t field = 0;
      for (std::uint64_t* value : {&entry.size, &packed_size, &entry.offset}) {
        if (*value != wide_marker) continue;
        *value = little_endian(body, field, 8);
        field += 8;
      }
    }
    at += 4 + size;
  }
}

}  // namespace

std::map<std::string, Bytes> read_stored_zip(Bytes bytes) {
  const Directory directory = find_directory(bytes);
  std::map<std::string, Bytes> entries;
  std::uint64_t at = directory.offset;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    if (little_endian(bytes, at, 4) != 0x02014B50) fail(ErrorKind::input, "the zip directory is damaged");
    const std::uint64_t flags = little_endian(bytes, at + 8, 2), method = little_endian(bytes, at + 10, 2);
    std::uint64_t packed_size = little_endian(bytes, at + 20, 4);
    Entry entry{little_endian(bytes, at + 24, 4), little_endian(bytes, at + 42, 4)};
    const std::uint64_t name_size = little_endian(bytes, at + 28, 2),
                        extra_size = little_endian(bytes, at + 30, 2);
    const std::uint64_t comment_size = little_endian(bytes, at + 32, 2);
    const Bytes name_bytes = slice(bytes, at + 46, name_size);
    const std::string name(reinterpret_cast<const char*>(name_bytes.data()), name_bytes.size());
    widen(slice(bytes, at + 46 + name_size, extra_size), packed_size, entry);
    if (method != 0 || (flags & 1) || packed_size != entry.size) {
      fail(ErrorKind::input, "the zip entry '", name,
           "' is compressed or encrypted, which PyTorch never writes");
    }
    if (little_endian(bytes, entry.offset, 4) != 0x04034B50)
      fail(ErrorKind::input, "the zip entry '", name, "' is damaged");
    const std::uint64_t header =
        30 + little_endian(bytes, entry.offset + 26, 2) + little_endian(bytes, entry.offset + 28, 2);
    slice(bytes, entry.offset, header);
    entries[name] = slice(bytes, entry.offset + header, entry.size);
    at += 46 + name_size + extra_size + comment_size;
  }
  return entries;
}

}  // namespace omni::tokenizers
