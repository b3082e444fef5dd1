// What files say of their pictures beside the pixels.
#include <gtest/gtest.h>
#include <png.h>
#include <webp/encode.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "exif.h"
#include "jpeg_bytes.h"
#include "omni/core/error.h"
#include "omni/image/texture_image.h"

namespace omni::image {
namespace {

using Bytes = std::vector<std::byte>;

// 24 x 16, grey but for a dark left edge and a light top edge: every turn and mirror of it differs.
Image marked() {
  Image image(24, 16, 3, 128);
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 24; ++x)
      for (int c = 0; c < 3; ++c)
        image.at(x, y)[c] = std::uint8_t(y < 8 ? (x < 8 ? 20 : 220) : (x < 8 ? 90 : 150));
  return image;
}

Bytes to_bytes(const std::string& text) {
  Bytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}
Bytes with_inserted(const Bytes& bytes, std::size_t at, const std::string& text) {
  Bytes result = bytes;
  const Bytes inserted = to_bytes(text);
  result.insert(result.begin() + std::ptrdiff_t(at), inserted.begin(), inserted.end());
  return result;
}

// A TIFF structure of two entries, the second of which is the orientation.
std::string tiff(int orientation, bool big_endian, bool as_long = false) {
  const auto number = [&](unsigned value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i));
    return out;
  };
  std::string text = big_endian ? "MM" : "II";
  text += number(42, 2) + number(8, 4) + number(2, 2);
  text += number(0x0100, 2) + number(3, 2) + number(1, 4) + number(24, 2) + number(0, 2);
  text += number(0x0112, 2) + number(as_long ? 4 : 3, 2) + number(1, 4);
  text += as_long ? number(unsigned(orientation), 4) : number(unsigned(orientation), 2) + number(0, 2);
  return text + number(0, 4);
}

std::string app1(const std::string& payload) {
  const auto size = static_cast<unsigned>(payload.size() + 2);
  return std::string("\xff\xe1", 2) + static_cast<char>(size >> 8) + static_cast<char>(size & 255) + payload;
}
std::string big_endian(unsigned value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}
std::string png_chunk(const std::string& type, const std::string& payload) {
  const std::string checked = type + payload;
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(checked.data()), uInt(checked.size()));
  return big_endian(unsigned(payload.size())) + checked + big_endian(unsigned(crc));
}
constexpr std::size_t kAfterHeader = 33;  // of a PNG

// How a camera that is held so stores an upright picture, by the definition of the tag: which edges of the
// stored picture are its top and its left.
Image stored_as(const Image& upright_picture, int orientation) {
  const int w = upright_picture.width, h = upright_picture.height;
  const bool transposed = orientation >= 5;
  Image stored(transposed ? h : w, transposed ? w : h, upright_picture.channels);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      int column = x, row = y;
      switch (orientation) {
        case 2:
          column = w - 1 - x;
          break;  // row 0 at the top, column 0 at the right
        case 3:
          column = w - 1 - x;
          row = h - 1 - y;
          break;  // bottom, right
        case 4:
          row = h - 1 - y;
          break;  // bottom, left
        case 5:
          column = y;
          row = x;
          break;  // left, top
        case 6:
          column = y;
          row = w - 1 - x;
          break;  // right, top
        case 7:
          column = h - 1 - y;
          row = w - 1 - x;
          break;  // right, bottom
        case 8:
          column = h - 1 - y;
          row = x;
          break;  // left, bottom
        default:
          break;
      }
      std::copy_n(upright_picture.at(x, y), upright_picture.channels, stored.at(column, row));
    }
  return stored;
}

TEST(Exif, StandsPicturesUprightButNotTextures) {
  const Image picture = marked();
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image stored = stored_as(picture, orientation);
    for (const bool big : {false, true}) {
      const std::string mark("Exif\0\0", 6);
      const Bytes jpeg =
          with_inserted(encode_jpeg(stored, {.quality = 98}), 2,
                        app1("http://ns.adobe.com/xap/1.0/ x") + app1(mark + tiff(orientation, big)));
      const Bytes png =
          with_inserted(encode_png(stored), kAfterHeader, png_chunk("eXIf", tiff(orientation, big, true)));
      EXPECT_EQ(decode_image(png, "a.png").pixels, picture.pixels) << orientation;
      EXPECT_EQ(decode_image(png, "a.png").width, picture.width);
      EXPECT_GT(psnr_db(decode_image(jpeg, "a.jpg"), picture), 30) << orientation;
      EXPECT_EQ(decode_texture(png, "a.png").pixels, stored.pixels);
      EXPECT_EQ(decode_texture(jpeg, "a.jpg").width, stored.width);
    }
  }
}

TEST(Exif, IsReadFromWebP) {
  const Image stored = stored_as(marked(), 6);
  std::uint8_t* memory = nullptr;
  const std::size_t size =
      WebPEncodeLosslessRGB(stored.pixels.data(), stored.width, stored.height, stored.width * 3, &memory);
  std::string simple(reinterpret_cast<char*>(memory), size);
  WebPFree(memory);
  const auto little = [](unsigned value) {
    std::string out;
    for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> 8 * i);
    return out;
  };
  const std::string flags = std::string("\x08\0\0\0", 4) + static_cast<char>(stored.width - 1) +
                            std::string(2, '\0') + static_cast<char>(stored.height - 1) +
                            std::string(2, '\0');
  const std::string exif = tiff(6, true);
  const std::string body =
      "WEBPVP8X" + little(10) + flags + simple.substr(12) + "EXIF" + little(unsigned(exif.size())) + exif;
  const Bytes file = to_bytes("RIFF" + little(unsigned(body.size())) + body);
  EXPECT_EQ(decode_image(file, "a.webp").pixels, marked().pixels);
  EXPECT_EQ(decode_texture(file, "a.webp").pixels, stored.pixels);
}

TEST(Exif, BrokenOnesAreNone) {
  const Image picture = marked();
  const std::string mark("Exif\0\0", 6), good = mark + tiff(6, false);
  for (std::size_t size = 0; size < good.size(); ++size)
    decode_image(with_inserted(encode_jpeg(picture, {.quality = 98}), 2, app1(good.substr(0, size))),
                 "a.jpg");
  for (const int orientation : {0, 9, 77})
    EXPECT_EQ(decode_image(with_inserted(encode_jpeg(picture, {.quality = 98}), 2,
                                         app1(mark + tiff(orientation, true))),
                           "a")
                  .width,
              24);
  const Bytes valid = with_inserted(encode_png(picture), kAfterHeader, png_chunk("eXIf", tiff(6, true)));
  for (std::size_t i = 0; i < std::min<std::size_t>(valid.size(), 120); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      Bytes flipped = valid;
      flipped[i] ^= std::byte(1 << bit);
      const int orientation = exif_orientation(flipped);
      EXPECT_GE(orientation, 1);
      EXPECT_LE(orientation, 8);
      exif_orientation(std::span(valid).first(i));
    }
}

TEST(PngColours, AreIgnoredInTexturesAlone) {
  Image picture(2, 2, 3);
  for (std::size_t i = 0; i < picture.pixels.size(); ++i)
    picture.pixels[i] = std::array<std::uint8_t, 3>{128, 64, 200}[i % 3];
  // Without the chunk by which our own encoder says sRGB, and which comes before gamma.
  std::string packed(64, '\0');
  const std::string rows("\0\x80\x40\xc8\x80\x40\xc8\0\x80\x40\xc8\x80\x40\xc8", 14);
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(rows.data()),
           rows.size());
  packed.resize(size);
  const Bytes plain =
      to_bytes("\x89PNG\r\n\x1a\n" +
               png_chunk("IHDR", big_endian(2) + big_endian(2) + std::string("\x08\x02\0\0\0", 5)) +
               png_chunk("IDAT", packed) + png_chunk("IEND", ""));
  for (const unsigned gamma : {45455u, 55556u, 100000u}) {
    const Bytes file = with_inserted(plain, kAfterHeader, png_chunk("gAMA", big_endian(gamma)));
    EXPECT_EQ(decode_texture(file, "a.png").pixels, picture.pixels) << gamma;
    const int seen = decode_image(file, "a.png").pixels[0];
    // Linear 128 / 255 is 188 in sRGB; what is close to sRGB stays close.
    EXPECT_NEAR(seen, gamma == 100000 ? 188 : gamma == 55556 ? 143 : 128, 4) << gamma;
  }
  std::string primaries;
  for (const unsigned value : {31270u, 32900u, 68000u, 32000u, 26500u, 69000u, 15000u, 6000u})
    primaries += big_endian(value);
  const Bytes wide = with_inserted(plain, kAfterHeader,
                                   png_chunk("gAMA", big_endian(100000)) + png_chunk("cHRM", primaries));
  EXPECT_EQ(decode_texture(wide, "a.png").pixels, picture.pixels);
  for (std::size_t size = 0; size < wide.size(); ++size) {
    try {
      decode_texture(std::span(wide).first(size), "cut.png");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  }
}

std::size_t find_marker(const Bytes& jpeg, int marker) {
  const Bytes mark = {std::byte(0xff), std::byte(marker)};
  return std::size_t(std::search(jpeg.begin(), jpeg.end(), mark.begin(), mark.end()) - jpeg.begin());
}

TEST(Jpeg, StrayBytesThatCostNoPixelsAreNoErrors) {
  const Bytes plain = encode_jpeg(marked(), {.quality = 98});
  const Image expected = decode_image(plain, "plain.jpg");
  const std::string stray = "stray bytes";
  std::vector<Bytes> files;
  for (const int marker : {0xdb, 0xc0, 0xc4, 0xda})
    files.push_back(with_inserted(plain, find_marker(plain, marker), stray));
  for (const std::size_t count : {1u, 8u, 64u, 500u})
    files.push_back(with_inserted(plain, plain.size() - 2, std::string(count, 'x')));
  files.push_back(with_inserted(plain, plain.size() - 2, std::string("\xff\x41\xff\xfe\xff\xff", 6)));
  files.push_back(with_inserted(plain, plain.size(), stray + std::string("\xff\xd8\xff", 3)));
  files.push_back(Bytes(plain.begin(), plain.end() - 2));  // no end marker
  Bytes version = plain;
  version[find_marker(plain, 0xe0) + 9] = std::byte(2);
  files.push_back(version);
  for (const Bytes& file : files) {
    EXPECT_EQ(decode_image(file, "a.jpg").pixels, expected.pixels);
    EXPECT_EQ(decode_texture(file, "a.jpg").pixels, expected.pixels);
  }
}

TEST(Jpeg, MissingPixelsAndScansAreErrors) {
  const auto fails = [](const Bytes& bytes) {
    try {
      decode_image(bytes, "a.jpg");
      return false;
    } catch (const Error& error) {
      return error.kind() == ErrorKind::input;
    }
  };
  const Bytes plain = encode_jpeg(marked(), {.quality = 98});
  EXPECT_TRUE(fails(Bytes(plain.begin(), plain.end() - 20)));
  const Bytes progressive = encode_jpeg(marked(), {.quality = 98, .progressive = true});
  EXPECT_FALSE(fails(progressive));
  EXPECT_TRUE(fails(Bytes(progressive.begin(), progressive.end() - 2))) << "whole scans may be missing";
}

TEST(Jpeg, InksAreInvertedWhereAdobesMarkerIs) {
  Image inks(16, 16, 4);
  for (std::size_t i = 0; i < inks.pixels.size(); ++i)
    inks.pixels[i] =
        std::array<std::uint8_t, 4>{0, 255, 255, 0}[i % 4];  // cyan 0, magenta and yellow full: red
  const Image red = decode_image(encode_jpeg(inks, {.quality = 98, .cmyk = true}), "plain.jpg");
  EXPECT_NEAR(red.at(8, 8)[0], 255, 3);
  EXPECT_NEAR(red.at(8, 8)[1], 0, 3);
  for (auto& value : inks.pixels) value = std::uint8_t(255 - value);
  const Image same =
      decode_image(encode_jpeg(inks, {.quality = 98, .cmyk = true, .adobe = true}), "adobe.jpg");
  EXPECT_NEAR(same.at(8, 8)[0], 255, 3);
  EXPECT_NEAR(same.at(8, 8)[2], 0, 3);
}

}  // namespace
}  // namespace omni::image
