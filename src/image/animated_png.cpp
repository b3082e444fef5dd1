// Portable Network Graphics (PNG) Specification, third edition (W3C 2025): frames are those that the still
// encoder writes, their data in chunks that number them.

#include <zlib.h>

#include <limits>
#include <string_view>

#include "codecs.h"
#include "omni/core/error.h"

namespace omni::image {
namespace {

constexpr std::size_t kSignature = 8;

struct Chunk {
  std::string_view type;
  std::span<const std::byte> data;
};

std::uint32_t big_endian(std::span<const std::byte> bytes) {
  std::uint32_t value = 0;
  for (const std::byte byte : bytes.first(4)) value = value << 8 | static_cast<std::uint32_t>(byte);
  return value;
}

void append_number(std::vector<std::byte>& bytes, std::uint32_t value, int count) {
  for (int i = count - 1; i >= 0; --i) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
}

// Of a file that the still encoder wrote.
std::vector<Chunk> chunks_of(std::span<const std::byte> png) {
  std::vector<Chunk> chunks;
  for (std::span<const std::byte> rest = png.subspan(kSignature); !rest.empty();) {
    const std::size_t length = big_endian(rest);
    chunks.push_back({{reinterpret_cast<const char*>(rest.data() + 4), 4}, rest.subspan(8, length)});
    rest = rest.subspan(12 + length);
  }
  return chunks;
}

void append_chunk(std::vector<std::byte>& file, std::string_view type, std::span<const std::byte> data) {
  append_number(file, static_cast<std::uint32_t>(data.size()), 4);
  const std::size_t begin = file.size();
  for (const char c : type) file.push_back(static_cast<std::byte>(c));
  file.insert(file.end(), data.begin(), data.end());
  const auto* checked = reinterpret_cast<const Bytef*>(file.data() + begin);
  append_number(file, static_cast<std::uint32_t>(crc32_z(0, checked, file.size() - begin)), 4);
}

class AnimationWriter {
 public:
  AnimationWriter(std::size_t frames, int milliseconds) : frames_(frames), milliseconds_(milliseconds) {}

  void add(const Image& frame) {
    const std::vector<std::byte> png = encode_png(frame);
    const bool first = file_.empty();
    if (first) file_.assign(png.begin(), png.begin() + kSignature);
    for (const Chunk& chunk : chunks_of(png)) {
      const bool data = chunk.type == "IDAT";
      if (data && !controlled_) append_control(frame, first);
      if (data && !first) append_data(chunk.data);
      if ((data || chunk.type != "IEND") && first) append_chunk(file_, chunk.type, chunk.data);
    }
    controlled_ = false;
  }

  std::vector<std::byte> finish() {
    append_chunk(file_, "IEND", {});
    return std::move(file_);
  }

 private:
  // Before a frame's data: where it stands and how long. Before the first one also how many there are.
  void append_control(const Image& frame, bool first) {
    std::vector<std::byte> data;
    if (first) {
      append_number(data, static_cast<std::uint32_t>(frames_), 4);
      append_number(data, 0, 4);  // plays: for ever
      append_chunk(file_, "acTL", data);
      data.clear();
    }
    append_number(data, number_++, 4);
    append_number(data, static_cast<std::uint32_t>(frame.width), 4);
    append_number(data, static_cast<std::uint32_t>(frame.height), 4);
    append_number(data, 0, 4);  // x
    append_number(data, 0, 4);  // y
    append_number(data, static_cast<std::uint32_t>(milliseconds_), 2);
    append_number(data, 1000, 2);
    append_number(data, 0, 1);  // what was there stays
    append_number(data, 0, 1);  // and is overwritten
    append_chunk(file_, "fcTL", data);
    controlled_ = true;
  }

  void append_data(std::span<const std::byte> compressed) {
    std::vector<std::byte> data;
    append_number(data, number_++, 4);
    data.insert(data.end(), compressed.begin(), compressed.end());
    append_chunk(file_, "fdAT", data);
  }

  std::size_t frames_;
  int milliseconds_;
  std::uint32_t number_ = 0;  // counts control and data chunks
  bool controlled_ = false;   // the frame at hand
  std::vector<std::byte> file_;
};

}  // namespace

std::vector<std::byte> encode_animated_png(std::span<const Image> frames, int frame_milliseconds) {
  if (frames.empty()) fail(ErrorKind::input, "cannot write an animated PNG: there are no frames.");
  if (frame_milliseconds < 0 || frame_milliseconds > std::numeric_limits<std::uint16_t>::max())
    fail(ErrorKind::input, "cannot write an animated PNG: a frame of ", frame_milliseconds,
         " milliseconds. Give 0 to 65535.");
  const Image& first = frames.front();
  AnimationWriter writer(frames.size(), frame_milliseconds);
  for (const Image& frame : frames) {
    if (frame.width != first.width || frame.height != first.height || frame.channels != first.channels)
      fail(ErrorKind::input, "cannot write an animated PNG: the frames differ in size.");
    writer.add(frame);
  }
  return writer.finish();
}

}  // namespace omni::image
