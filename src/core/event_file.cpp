#include "omni/core/event_file.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <string_view>

#include "omni/core/crc32c.h"
#include "omni/core/error.h"
#include "omni/core/system_info.h"

namespace omni {
namespace {

constexpr std::string_view kBeginning = "events.out.tfevents.";
constexpr std::int64_t kLatest =
    9'999'999'998;  // the last with as many digits as today's, which names are sorted by

// The latest that files of the folder are named after; 0 where there are none.
std::int64_t latest_in(const std::filesystem::path& folder) {
  std::int64_t latest = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kBeginning)) continue;
    std::int64_t seconds = 0;
    std::from_chars(name.data() + kBeginning.size(), name.data() + name.size(), seconds);
    if (seconds <= kLatest) latest = std::max(latest, seconds);
  }
  return latest;
}

// TensorBoard reads files in the order of their names: a file comes after those before it, even where the clock
// has been set back since.
std::string file_name(const std::filesystem::path& folder) {
  const std::string host = host_name();
  const auto now = static_cast<std::int64_t>(seconds_since_1970());
  return concat(kBeginning, std::max(now, latest_in(folder) + 1), ".", host.empty() ? "unknown" : host, ".",
                ::getpid());
}

template <class Integer>
std::string little_endian(Integer value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

// Fields of Protocol Buffers' wire format.
std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

std::string integer_field(int number, std::int64_t value) {
  return varint(static_cast<std::uint64_t>(number) << 3) + varint(static_cast<std::uint64_t>(value));
}

std::string double_field(int number, double value) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 1) +
         little_endian(std::bit_cast<std::uint64_t>(value));
}

std::string bytes_field(int number, std::string_view bytes) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

std::string float_field(int number, float value) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 5) +
         little_endian(std::bit_cast<std::uint32_t>(value));
}

std::string event(std::int64_t step, const std::string& what) {
  return double_field(1, seconds_since_1970()) + integer_field(2, step) + what;
}

// Checksums are masked, lest a record that holds records looks like its own.
std::string masked_checksum(std::string_view bytes) {
  const std::uint32_t checksum = crc32c(bytes);
  return little_endian((checksum >> 15 | checksum << 17) + 0xa282ead8u);
}

std::string record(const std::string& content) {
  const std::string length = little_endian(static_cast<std::uint64_t>(content.size()));
  return length + masked_checksum(length) + content + masked_checksum(content);
}

}  // namespace

EventFile::EventFile(const std::filesystem::path& folder, std::int64_t first_step)
    : file_(folder / file_name(folder)) {
  const std::string session_start = integer_field(1, 1);
  file_.append_bytes(record(event(0, bytes_field(3, "brain.Event:2"))) +
                     record(event(first_step, bytes_field(7, session_start))));
}

void EventFile::write(std::int64_t step, const std::vector<std::pair<std::string, double>>& numbers) {
  std::string summary;
  for (const auto& [name, value] : numbers)
    summary += bytes_field(1, bytes_field(1, name) + float_field(2, static_cast<float>(value)));
  file_.append_bytes(record(event(step, bytes_field(5, summary))));
}

}  // namespace omni
