#include "omni/image/image.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "omni/core/error.h"

namespace omni::image {
namespace {

Image horizontal_ramp(int width, int height, int channels) {
  Image image(width, height, channels);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c) image.at(x, y)[c] = std::uint8_t(x * 255 / (width - 1));
  return image;
}

TEST(Colour, FollowsTheClosedFormOfTheStandard) {
  EXPECT_FLOAT_EQ(srgb_to_linear(0), 0);
  EXPECT_FLOAT_EQ(srgb_to_linear(1), 1);
  EXPECT_NEAR(srgb_to_linear(0.5f), 0.21404114f, 1e-6);
  EXPECT_NEAR(srgb_to_linear(0.04f), 0.04f / 12.92f, 1e-7);
  EXPECT_NEAR(linear_to_srgb(0.18f), 0.46135613f, 1e-6);
}

TEST(Colour, EveryByteSurvivesTheWayToLinearAndBack) {
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(std::lround(255 * linear_to_srgb(srgb_to_linear(float(i) / 255))), i);
}

TEST(Psnr, FollowsItsClosedForm) {
  const Image a(7, 5, 3, 100), b(7, 5, 3, 110);
  EXPECT_NEAR(psnr_db(a, b), 10 * std::log10(255.0 * 255 / 100), 1e-12);
  EXPECT_EQ(psnr_db(a, a), std::numeric_limits<double>::infinity());
  Image c = a;
  c.pixels[0] = 200;  // one of 105 values is off by 100
  EXPECT_NEAR(psnr_db(a, c), 10 * std::log10(255.0 * 255 * 105 / 10000), 1e-12);
  EXPECT_THROW(psnr_db(a, Image(5, 7, 3)), Error);
}

TEST(Resize, KeepsConstantImagesExactly) {
  for (const int channels : {1, 3, 4})
    for (const auto& [width, height] : {std::pair{3, 5}, std::pair{64, 64}, std::pair{200, 17}}) {
      const Image resized = resize(Image(31, 47, channels, 200), width, height);
      EXPECT_EQ(resized.width, width);
      EXPECT_EQ(resized.height, height);
      for (const std::uint8_t value : resized.pixels) EXPECT_EQ(value, 200);
    }
}

TEST(Resize, KeepsAGradientAGradient) {
  const Image small = resize(horizontal_ramp(256, 16, 3), 32, 16);
  for (int x = 1; x < 32; ++x) {
    EXPECT_GT(small.at(x, 8)[0], small.at(x - 1, 8)[0]);
    EXPECT_NEAR(small.at(x, 8)[0], 8 * x + 3.5, 3);  // the middle of the 8 columns that it stands for
  }
}

TEST(Resize, AveragesInLinearLight) {
  Image stripes(64, 64, 3);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x)
      for (int c = 0; c < 3; ++c) stripes.at(x, y)[c] = x % 2 ? 255 : 0;
  // Half of the light is sRGB 188, where averaging the bytes would give 128.
  EXPECT_NEAR(resize(stripes, 8, 8).at(4, 4)[1], 188, 2);
}

TEST(Resize, RefusesImpossibleSizes) {
  EXPECT_THROW(resize(Image(4, 4, 3), 0, 4), Error);
  EXPECT_THROW(resize(Image(4, 4, 3), 4, 100000), Error);
}

TEST(Crop, TakesTheWindowAndRefusesToLeaveTheImage) {
  const Image ramp = horizontal_ramp(16, 8, 3);
  const Image window = crop(ramp, 4, 2, 5, 3);
  EXPECT_EQ(window.width, 5);
  EXPECT_EQ(window.height, 3);
  EXPECT_EQ(window.at(0, 0)[0], ramp.at(4, 2)[0]);
  EXPECT_EQ(window.at(4, 2)[0], ramp.at(8, 4)[0]);
  EXPECT_THROW(crop(ramp, 12, 0, 5, 3), Error);
  EXPECT_THROW(crop(ramp, -1, 0, 5, 3), Error);
  EXPECT_EQ(centre_square(ramp).width, 8);
  EXPECT_EQ(centre_square(ramp).at(0, 0)[0], ramp.at(4, 0)[0]);
}

TEST(Paste, ClipsAtEveryBorder) {
  Image target(8, 8, 3, 10);
  paste(target, Image(4, 4, 3, 99), -2, 6);
  EXPECT_EQ(target.at(0, 6)[0], 99);
  EXPECT_EQ(target.at(1, 7)[0], 99);
  EXPECT_EQ(target.at(2, 7)[0], 10);
  EXPECT_EQ(target.at(0, 5)[0], 10);
  paste(target, Image(4, 4, 3, 50), 20, 0);
  EXPECT_EQ(target.at(7, 0)[0], 10);
}

TEST(ContactSheet, LaysImagesOutInRows) {
  const std::vector<Image> tiles = {Image(4, 3, 3, 1), Image(4, 3, 3, 2), Image(4, 3, 3, 3)};
  const Image sheet = contact_sheet(tiles, 2, 5, 77);
  EXPECT_EQ(sheet.width, 13);
  EXPECT_EQ(sheet.height, 11);
  EXPECT_EQ(sheet.at(0, 0)[0], 1);
  EXPECT_EQ(sheet.at(9, 0)[0], 2);
  EXPECT_EQ(sheet.at(0, 8)[0], 3);
  EXPECT_EQ(sheet.at(5, 0)[0], 77);
  EXPECT_EQ(sheet.at(12, 10)[0], 77);
}

TEST(ToRgb, BlendsAlphaInLinearLight) {
  Image rgba(3, 1, 4, 0);
  rgba.at(0, 0)[3] = 0;
  rgba.at(1, 0)[3] = 255;
  rgba.at(2, 0)[3] = 128;
  const Image rgb = to_rgb(rgba);
  EXPECT_EQ(rgb.at(0, 0)[0], 255);
  EXPECT_EQ(rgb.at(1, 0)[0], 0);
  EXPECT_NEAR(rgb.at(2, 0)[0], 255 * linear_to_srgb(127.0f / 255), 1);
  EXPECT_EQ(to_rgb(Image(2, 2, 1, 9)).at(1, 1)[2], 9);
}

}  // namespace
}  // namespace omni::image
