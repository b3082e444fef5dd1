#include "omni/image/object_picture.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::image {
namespace {

using Colour = std::array<std::uint8_t, 3>;

constexpr Colour kWhite{255, 255, 255}, kBlack{0, 0, 0}, kRed{220, 20, 20}, kBlue{20, 20, 220};

void fill(Image& image, int left, int top, int right, int bottom, const Colour& colour) {
  for (int y = top; y < bottom; ++y)
    for (int x = left; x < right; ++x) std::copy(colour.begin(), colour.end(), image.at(x, y));
}

Image before(const Colour& ground, int width, int height) {
  Image image(width, height, 3);
  fill(image, 0, 0, width, height, ground);
  return image;
}

Colour pixel(const Image& image, int x, int y) {
  return {image.at(x, y)[0], image.at(x, y)[1], image.at(x, y)[2]};
}

TEST(ObjectPicture, OneAsInTrainingStaysAsItIs) {
  Image picture = before(kWhite, 64, 64);
  fill(picture, 12, 14, 52, 52, kRed);
  const ObjectPicture object = frame_object(picture, "a.png");
  EXPECT_FALSE(object.reframed);
  EXPECT_FALSE(object.doubt.has_value());
  EXPECT_EQ(object.image.pixels, picture.pixels);
}

TEST(ObjectPicture, ASmallOneBeforeADarkGroundIsCutOutAndCentred) {
  Image picture = before({30, 32, 34}, 200, 120);
  fill(picture, 150, 10, 180, 50, kRed);          // 30 x 40, at the upper right
  fill(picture, 160, 20, 170, 30, {30, 32, 34});  // a hole that shows the ground
  fill(picture, 152, 12, 158, 18, kBlack);        // a dark part that is not the ground
  const ObjectPicture object = frame_object(picture, "a.png");
  EXPECT_TRUE(object.reframed);
  EXPECT_FALSE(object.doubt.has_value());
  const int side = object.image.width;
  EXPECT_EQ(object.image.height, side);
  EXPECT_NEAR(40.0 / side, 0.67, 0.02);
  const int left = (side - 30) / 2, top = static_cast<int>(side * 0.53) - 20;
  EXPECT_EQ(pixel(object.image, side / 2 + 12, top + 35), kRed);
  EXPECT_EQ(pixel(object.image, left + 15, top + 15), kWhite);
  EXPECT_EQ(pixel(object.image, left + 5, top + 5), kBlack);
  EXPECT_EQ(pixel(object.image, 0, 0), kWhite);
  EXPECT_EQ(pixel(object.image, side - 1, side - 1), kWhite);
}

TEST(ObjectPicture, ATransparentGroundIsPlain) {
  Image picture(80, 60, 4);
  for (int y = 20; y < 40; ++y)
    for (int x = 10; x < 30; ++x) {
      std::copy(kBlue.begin(), kBlue.end(), picture.at(x, y));
      picture.at(x, y)[3] = 255;
    }
  const ObjectPicture object = frame_object(picture, "a.png");
  EXPECT_TRUE(object.reframed);
  EXPECT_EQ(pixel(object.image, object.image.width / 2, object.image.height / 2), kBlue);
  EXPECT_EQ(pixel(object.image, 0, 0), kWhite);
}

TEST(ObjectPicture, SpecksMoveNothing) {
  Image picture = before(kWhite, 64, 64);
  fill(picture, 16, 16, 48, 50, kRed);
  Image specked = picture;
  fill(specked, 1, 1, 2, 2, kBlack);
  fill(specked, 60, 3, 61, 4, kBlack);
  EXPECT_FALSE(frame_object(specked, "a.png").reframed);
}

TEST(ObjectPicture, AnObjectThatAnEdgeCutsOffIsADoubt) {
  Image picture = before(kWhite, 64, 64);
  fill(picture, 30, 20, 64, 50, kRed);
  const ObjectPicture object = frame_object(picture, "a.png");
  ASSERT_TRUE(object.doubt.has_value());
  EXPECT_NE(object.doubt->find("right edge"), std::string::npos) << *object.doubt;
}

TEST(ObjectPicture, AGroundThatIsNotPlainIsADoubtAndStays) {
  Image picture = before(kWhite, 90, 60);
  for (int y = 0; y < 60; ++y)
    for (int x = 0; x < 90; ++x) fill(picture, x, y, x + 1, y + 1, (x / 8 + y / 8) % 2 == 0 ? kRed : kBlue);
  const ObjectPicture object = frame_object(picture, "a.png");
  ASSERT_TRUE(object.doubt.has_value());
  EXPECT_NE(object.doubt->find("not plain"), std::string::npos) << *object.doubt;
  EXPECT_FALSE(object.reframed);
  EXPECT_EQ(object.image.pixels, centre_square(picture).pixels);
}

TEST(ObjectPicture, OneOfOneColourIsRefusedByName) {
  for (const Colour& colour : {kWhite, kBlack, kRed}) {
    try {
      frame_object(before(colour, 40, 30), "blank.png");
      FAIL() << "taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_NE(std::string(error.what()).find("blank.png"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(frame_object(Image(1, 1, 1), "one pixel"), Error);
}

TEST(ObjectPicture, LargePicturesAreMadeSmallerFirst) {
  Image picture = before(kBlack, 4000, 1000);
  fill(picture, 100, 100, 900, 900, kRed);
  const ObjectPicture object = frame_object(picture, "a.png");
  EXPECT_TRUE(object.reframed);
  EXPECT_LE(object.image.width, 1024);
  EXPECT_EQ(pixel(object.image, object.image.width / 2, object.image.height / 2), kRed);
}

}  // namespace
}  // namespace omni::image
