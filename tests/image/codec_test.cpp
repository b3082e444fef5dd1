#include <gtest/gtest.h>
#include <png.h>
#include <webp/encode.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "jpeg_bytes.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/random.h"
#include "omni/image/image.h"
#include "temporary_directory.h"

namespace omni::image {
namespace {

using Bytes = std::vector<std::byte>;

Image noise(int width, int height, int channels) {
  Image image(width, height, channels);
  CounterRng rng(7, std::uint64_t(channels));
  for (auto& value : image.pixels) value = std::uint8_t(rng.below(256));
  return image;
}

Image smooth(int width, int height) {
  Image image(width, height, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      image.at(x, y)[0] = std::uint8_t(4 * x);
      image.at(x, y)[1] = std::uint8_t(4 * y);
      image.at(x, y)[2] = std::uint8_t(2 * (x + y));
    }
  return image;
}

Bytes encode_webp(const Image& image) {
  std::uint8_t* memory = nullptr;
  const std::size_t size =
      image.channels == 4
          ? WebPEncodeLosslessRGBA(image.pixels.data(), image.width, image.height, image.width * 4, &memory)
          : WebPEncodeLosslessRGB(image.pixels.data(), image.width, image.height, image.width * 3, &memory);
  Bytes bytes(size);
  std::memcpy(bytes.data(), memory, size);
  WebPFree(memory);
  return bytes;
}

void append_png(png_structp png, png_bytep data, std::size_t size) {
  auto& bytes = *static_cast<Bytes*>(png_get_io_ptr(png));
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  bytes.insert(bytes.end(), begin, begin + size);
}

// Writes rows of any PNG kind; `rows` holds the packed bytes of one row after the other.
Bytes encode_png_kind(int width, int height, int depth, int kind, int interlace,
                      std::vector<std::uint8_t> rows, std::vector<png_color> palette = {}) {
  Bytes bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &bytes, append_png, nullptr);
  png_set_IHDR(png, info, png_uint_32(width), png_uint_32(height), depth, kind, interlace,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!palette.empty()) png_set_PLTE(png, info, palette.data(), int(palette.size()));
  png_write_info(png, info);
  std::vector<png_bytep> pointers;
  for (int y = 0; y < height; ++y)
    pointers.push_back(rows.data() + rows.size() / std::size_t(height) * std::size_t(y));
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

ErrorKind kind_of_failure(const Bytes& bytes) {
  try {
    decode_image(bytes, "test image");
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("test image"), std::string::npos) << error.what();
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::internal;
}

// Whatever the bytes are, decoding ends in an image or in Error(input).
void expect_orderly(const Bytes& bytes) {
  try {
    const Image image = decode_image(bytes, "damaged image");
    EXPECT_EQ(image.pixels.size(), std::size_t(image.width) * image.height * image.channels);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
  }
}

void replay_damage(const Bytes& valid) {
  for (std::size_t size = 0; size < valid.size(); size += 1 + valid.size() / 100)
    expect_orderly(Bytes(valid.begin(), valid.begin() + std::ptrdiff_t(size)));
  CounterRng rng(11);
  for (int i = 0; i < 400; ++i) {
    Bytes damaged = valid;
    for (std::uint64_t flips = 1 + rng.below(4); flips > 0; --flips) {
      // Half of the flips hit the header, where the sizes are.
      const std::size_t range = rng.chance(0.5) ? std::min<std::size_t>(64, valid.size()) : valid.size();
      damaged[rng.below(range)] ^= std::byte(1 + rng.below(255));
    }
    expect_orderly(damaged);
  }
}

TEST(Png, RoundTripsEveryChannelCount) {
  for (const int channels : {1, 3, 4}) {
    const Image image = noise(37, 21, channels);
    const Image back = decode_image(encode_png(image), "memory");
    EXPECT_EQ(back.channels, channels);
    EXPECT_EQ(back.width, 37);
    EXPECT_EQ(back.height, 21);
    EXPECT_EQ(back.pixels, image.pixels);
  }
}

TEST(Png, RoundTripsThroughAFile) {
  const test::TemporaryDirectory folder;
  const auto path = folder / "round_trip.png";
  const Image image = noise(16, 16, 3);
  write_png(path, image);
  EXPECT_EQ(read_image(path).pixels, image.pixels);
}

TEST(Png, ReadsPalettes) {
  const Image image = decode_image(encode_png_kind(4, 2, 8, PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE,
                                                   {0, 1, 1, 0, 1, 0, 0, 1}, {{10, 20, 30}, {200, 100, 50}}),
                                   "memory");
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.at(0, 0)[0], 10);
  EXPECT_EQ(image.at(1, 0)[0], 200);
  EXPECT_EQ(image.at(3, 1)[2], 50);
}

TEST(Png, ReadsSixteenBits) {
  const Image image =
      decode_image(encode_png_kind(2, 1, 16, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                                   {0x80, 0x80, 0, 0, 0xff, 0xff, 0x20, 0x20, 0x40, 0x40, 1, 1}),
                   "memory");
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.at(0, 0)[0], 0x80);
  EXPECT_EQ(image.at(0, 0)[2], 0xff);
  EXPECT_EQ(image.at(1, 0)[1], 0x40);
}

TEST(Png, ReadsInterlacedFiles) {
  const Image expected = noise(19, 23, 3);
  const Bytes bytes = encode_png_kind(19, 23, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, expected.pixels);
  EXPECT_EQ(decode_image(bytes, "memory").pixels, expected.pixels);
}

TEST(Jpeg, ReadsColourAndGrey) {
  const Image image = smooth(48, 40);
  const Image back = decode_image(encode_jpeg(image), "memory");
  EXPECT_EQ(back.channels, 3);
  EXPECT_GT(psnr_db(image, back), 30);
  const Image grey = decode_image(encode_jpeg(Image(20, 10, 1, 90)), "memory");
  EXPECT_EQ(grey.channels, 1);
  EXPECT_NEAR(grey.at(5, 5)[0], 90, 1);
}

TEST(WebP, ReadsColourAndAlphaExactly) {
  const Image image = noise(33, 12, 3);
  EXPECT_EQ(decode_image(encode_webp(image), "memory").pixels, image.pixels);
  Image translucent = noise(8, 8, 4);
  for (std::size_t i = 3; i < translucent.pixels.size(); i += 4)
    translucent.pixels[i] |= 1;  // colour under alpha 0 is free
  const Image back = decode_image(encode_webp(translucent), "memory");
  EXPECT_EQ(back.channels, 4);
  EXPECT_EQ(back.pixels, translucent.pixels);
}

TEST(DecodeImage, RefusesTruncatedFiles) {
  for (const Bytes& valid :
       {encode_png(noise(40, 40, 3)), encode_jpeg(smooth(40, 40)), encode_webp(noise(40, 40, 3))})
    for (const double share : {0.1, 0.5, 0.9})
      EXPECT_EQ(
          kind_of_failure(Bytes(valid.begin(), valid.begin() + std::ptrdiff_t(double(valid.size()) * share))),
          ErrorKind::input);
}

TEST(DecodeImage, RefusesForeignFiles) {
  const std::string text = "solid cube\n facet normal 0 0 1\n";
  Bytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  EXPECT_EQ(kind_of_failure(bytes), ErrorKind::input);
  EXPECT_EQ(kind_of_failure({}), ErrorKind::input);
}

TEST(DecodeImage, RefusesForgedSizesBeforeAllocating) {
  Bytes bytes = encode_png(noise(16, 16, 3));
  for (const std::uint8_t high :
       {0x3f, 0xff}) {  // 16,1xx pixels: allowed, but not in so few bytes; and far too many
    Bytes forged = bytes;
    forged[18] = forged[22] = std::byte(high);
    EXPECT_EQ(kind_of_failure(forged), ErrorKind::input);
  }
}

std::string reason_against(const Bytes& bytes) {
  try {
    decode_image(bytes, "test image");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "";
}

// A run of one colour costs nearly nothing: the file is honest, and small.
TEST(DecodeImage, RefusesMorePixelsThanTheLimit) {
  const int side = 16384;
  const Bytes png = encode_png_kind(side, side, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                                    std::vector<std::uint8_t>(std::size_t(side) / 8 * side));
  EXPECT_LT(png.size(), 40'000u);
  Bytes jpeg = encode_jpeg(Image(16, 16, 1));
  jpeg.resize(1 << 20);  // so many bytes could hold as many blocks
  const Bytes frame = {std::byte(0xff), std::byte(0xc0)};
  const auto at = std::search(jpeg.begin(), jpeg.end(), frame.begin(), frame.end());
  ASSERT_NE(at, jpeg.end());
  for (const int place : {5, 7}) at[place] = std::byte(side >> 8);  // height and width, high byte first
  for (const int place : {6, 8}) at[place] = std::byte(0);
  Bytes webp = encode_webp(noise(16, 16, 3));
  std::uint32_t header = 0;  // 14 bits a side, less one, behind the signature
  std::memcpy(&header, webp.data() + 21, 4);
  header = (header >> 28 << 28) | (16382u | 16382u << 14);
  std::memcpy(webp.data() + 21, &header, 4);
  for (const auto& [bytes, size] : {std::pair{png, "16384 x 16384"}, std::pair{jpeg, "16384 x 16384"},
                                    std::pair{webp, "16383 x 16383"}}) {
    const std::string reason = reason_against(bytes);
    EXPECT_NE(reason.find(size), std::string::npos) << reason;
    EXPECT_NE(reason.find(std::to_string(kMaximumPixels)), std::string::npos) << reason;
  }
}

TEST(DecodeImage, ReadsAsManyPixelsAsTheLimit) {
  const int side = 8192;
  const Bytes png = encode_png_kind(side, side, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                                    std::vector<std::uint8_t>(std::size_t(side) / 8 * side, 255));
  const Image image = decode_image(png, "test image");
  EXPECT_EQ(image.width, side);
  EXPECT_EQ(*image.at(side - 1, side - 1), 255);
}

TEST(ReadImage, NamesAMissingFile) {
  try {
    read_image("no/such/picture.png");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_NE(std::string(error.what()).find("no/such/picture.png"), std::string::npos);
  }
}

TEST(Damage, NeverCrashesPng) { replay_damage(encode_png(noise(24, 24, 3))); }
TEST(Damage, NeverCrashesInterlacedPng) {
  replay_damage(encode_png_kind(24, 24, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, noise(24, 24, 3).pixels));
}
TEST(Damage, NeverCrashesJpeg) { replay_damage(encode_jpeg(smooth(48, 48))); }
TEST(Damage, NeverCrashesWebP) { replay_damage(encode_webp(noise(24, 24, 4))); }

TEST(ImageFiles, AreWrittenByTheirEnding) {
  const test::TemporaryDirectory folder;
  const Image picture = smooth(40, 24);
  for (const char* name : {"a.png", "a.webp", "A.PNG"}) {
    write_image(folder / name, picture);
    EXPECT_EQ(read_image(folder / name).pixels, picture.pixels) << name;
  }
  for (const char* name : {"a.jpg", "a.jpeg"}) {
    write_image(folder / name, picture);
    const Bytes bytes = read_file_bytes(folder / name);
    EXPECT_EQ(bytes[0], std::byte{0xff}) << "it is a JPEG file, not one by name alone";
    EXPECT_EQ(bytes[1], std::byte{0xd8});
    EXPECT_GT(psnr_db(read_image(folder / name), picture), 40) << name;
  }
}

TEST(ImageFiles, KeepOrFlattenAlphaAndGrey) {
  const Image grey = noise(9, 5, 1), clear(6, 4, 4, 0), see_through = noise(8, 8, 4);
  EXPECT_EQ(decode_image(encode_image(grey, "a.webp"), "a").pixels, to_rgb(grey).pixels);
  EXPECT_EQ(decode_image(encode_image(grey, "a.jpg"), "a").channels, 1);
  EXPECT_EQ(decode_image(encode_image(clear, "a.jpg"), "a").pixels, Image(6, 4, 3, 255).pixels);
  const Image back = decode_image(encode_image(see_through, "a.webp"), "a");
  ASSERT_EQ(back.channels, 4);
  for (std::size_t i = 3; i < back.pixels.size(); i += 4) EXPECT_EQ(back.pixels[i], see_through.pixels[i]);
}

TEST(ImageFiles, AreRefusedByName) {
  const test::TemporaryDirectory folder;
  for (const char* name : {"a.bmp", "a", "png", "a.png.txt"}) {
    EXPECT_FALSE(is_image_file(name));
    try {
      write_image(folder / name, smooth(4, 4));
      ADD_FAILURE() << name << " was written";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos);
    }
    EXPECT_FALSE(std::filesystem::exists(folder / name));
  }
  EXPECT_THROW((void)encode_image(Image(), "a.jpg"), Error);
  EXPECT_THROW((void)encode_image(Image(70'000, 1, 1), "a.jpg"), Error);
  EXPECT_THROW((void)encode_image(Image(20'000, 1, 3), "a.webp"), Error);
}

}  // namespace
}  // namespace omni::image
