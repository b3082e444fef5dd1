#include <gtest/gtest.h>

#include <cstring>

#include "omni/core/error.h"
#include "omni/image/image.h"

namespace omni::image {
namespace {

using Bytes = std::vector<std::byte>;

std::uint32_t number(const Bytes& bytes, std::size_t at, int count = 4) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | std::to_integer<std::uint32_t>(bytes.at(at + i));
  return value;
}

// Bit by bit, as the specification defines it.
std::uint32_t checksum(const Bytes& bytes, std::size_t begin, std::size_t end) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (std::size_t i = begin; i < end; ++i) {
    crc ^= std::to_integer<std::uint32_t>(bytes.at(i));
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
  }
  return ~crc;
}

struct Chunk {
  std::string type;
  Bytes data;
  Bytes whole;  // with length and checksum
};

std::vector<Chunk> chunks_of(const Bytes& file) {
  std::vector<Chunk> chunks;
  for (std::size_t at = 8; at < file.size();) {
    const std::size_t length = number(file, at), end = at + 8 + length;
    Chunk chunk{{}, {file.begin() + at + 8, file.begin() + end}, {file.begin() + at, file.begin() + end + 4}};
    for (std::size_t i = 0; i < 4; ++i) chunk.type += std::to_integer<char>(file.at(at + 4 + i));
    EXPECT_EQ(number(file, end), checksum(file, at + 4, end)) << chunk.type;
    chunks.push_back(std::move(chunk));
    at = end + 4;
  }
  return chunks;
}

void append(Bytes& bytes, const Bytes& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

void append_number(Bytes& bytes, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(std::byte(value >> shift));
}

// What a player shows: each frame's data made into a still file with the animation's own head.
std::vector<Image> played(const Bytes& file) {
  Bytes head(file.begin(), file.begin() + 8), data;
  std::vector<Image> frames;
  const auto finish = [&] {
    if (data.empty()) return;
    Bytes still = head, chunk = {std::byte{'I'}, std::byte{'D'}, std::byte{'A'}, std::byte{'T'}};
    append(chunk, data);
    append_number(still, static_cast<std::uint32_t>(data.size()));
    append(still, chunk);
    append_number(still, checksum(chunk, 0, chunk.size()));
    append(still, chunks_of(file).back().whole);
    frames.push_back(decode_image(still, "frame"));
    data.clear();
  };
  for (const Chunk& chunk : chunks_of(file)) {
    if (chunk.type == "IHDR") append(head, chunk.whole);
    if (chunk.type == "fcTL" || chunk.type == "IEND") finish();
    if (chunk.type == "IDAT") append(data, chunk.data);
    if (chunk.type == "fdAT") append(data, {chunk.data.begin() + 4, chunk.data.end()});
  }
  return frames;
}

std::vector<Image> frames_of(int count, int channels) {
  std::vector<Image> frames;
  std::uint32_t state = 1;
  for (int i = 0; i < count; ++i) {
    Image frame(40, 24, channels);
    for (std::uint8_t& value : frame.pixels)
      value = std::uint8_t((state = state * 1664525 + 1013904223) >> 24);
    frames.push_back(std::move(frame));
  }
  return frames;
}

TEST(AnimatedPng, PlaysTheFramesThatWentIn) {
  for (const int channels : {1, 3, 4}) {
    const std::vector<Image> frames = frames_of(5, channels);
    const Bytes file = encode_animated_png(frames, 40);
    const std::vector<Image> back = played(file);
    ASSERT_EQ(back.size(), frames.size());
    for (std::size_t i = 0; i < frames.size(); ++i) EXPECT_EQ(back[i].pixels, frames[i].pixels) << i;
    EXPECT_EQ(decode_image(file, "still").pixels, frames[0].pixels) << "to readers that know no animations";
  }
}

TEST(AnimatedPng, NumbersItsChunksAndTellsSizeAndTime) {
  std::uint32_t next = 0;
  int controls = 0;
  std::string before;
  for (const Chunk& chunk : chunks_of(encode_animated_png(frames_of(3, 3), 125))) {
    if (chunk.type == "acTL") {
      EXPECT_EQ(number(chunk.data, 0), 3u);
      EXPECT_EQ(number(chunk.data, 4), 0u) << "for ever";
      EXPECT_EQ(controls, 0);
    }
    if (chunk.type == "fcTL") {
      ++controls;
      ASSERT_EQ(chunk.data.size(), 26u);
      EXPECT_EQ(number(chunk.data, 4), 40u);
      EXPECT_EQ(number(chunk.data, 8), 24u);
      EXPECT_EQ(1000 * number(chunk.data, 20, 2) / number(chunk.data, 22, 2), 125u);
    }
    if (chunk.type == "fcTL" || chunk.type == "fdAT") EXPECT_EQ(number(chunk.data, 0), next++);
    if (chunk.type == "IDAT" && before != "IDAT")
      EXPECT_EQ(before, "fcTL") << "the first frame is one of them";
    before = chunk.type;
  }
  EXPECT_EQ(controls, 3);
}

TEST(AnimatedPng, RefusesWhatIsNoAnimation) {
  EXPECT_THROW((void)encode_animated_png({}, 40), Error);
  const std::vector<Image> unequal = {Image(2, 2, 3), Image(2, 3, 3)};
  EXPECT_THROW((void)encode_animated_png(unequal, 40), Error);
  EXPECT_THROW((void)encode_animated_png(frames_of(2, 3), 65536), Error);
  EXPECT_THROW((void)encode_animated_png(frames_of(2, 3), -1), Error);
}

}  // namespace
}  // namespace omni::image
