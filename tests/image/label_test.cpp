#include "omni/image/label.h"

#include <gtest/gtest.h>

#include <string>

namespace omni::image {
namespace {

// The strip below a picture, a character a pixel: '#' is ink.
std::vector<std::string> strip_of(const Image& labelled, int picture_height) {
  std::vector<std::string> rows;
  for (int y = picture_height; y < labelled.height; ++y) {
    std::string row;
    for (int x = 0; x < labelled.width; ++x) row += *labelled.at(x, y) < 128 ? '#' : '.';
    rows.push_back(row);
  }
  return rows;
}

TEST(Label, StandsInTheMiddleBelowThePicture) {
  const Image picture(30, 20, 3, 7);
  const Image result = labelled(picture, "7°");
  EXPECT_EQ(result.width, 30);
  EXPECT_EQ(crop(result, 0, 0, 30, 20).pixels, picture.pixels);
  const std::vector<std::string> strip = strip_of(result, 20);
  const std::vector<std::string> letters = {"#####..##.", "....#.#..#", "...#..#..#", "..#....##.",
                                            ".#........", ".#........", ".#........"};
  for (std::size_t row = 0; row < strip.size(); ++row) {
    const bool written = row >= 2 && row < 2 + letters.size();
    const std::string expected = written ? letters[row - 2] : std::string(10, '.');
    EXPECT_EQ(strip[row], std::string(9, '.') + expected + std::string(11, '.')) << row;
  }
}

TEST(Label, EveryCharacterDiffersFromTheOthers) {
  std::vector<std::vector<std::string>> seen;
  for (const char c : std::string("0123456789abcdefghijklmnopqrstuvwxyz-. ")) {
    seen.push_back(strip_of(labelled(Image(8, 1, 1, 255), std::string(1, c)), 1));
    for (std::size_t i = 0; i + 1 < seen.size(); ++i)
      EXPECT_NE(seen[i], seen.back()) << c << " and number " << i;
  }
}

TEST(Label, LeavesOutWhatIsTooLongAndKeepsTheSize) {
  const Image picture(32, 32, 4, 0);
  const Image long_text = labelled(picture, "a very long text"), none = labelled(picture, "");
  EXPECT_EQ(long_text.pixels, none.pixels);
  EXPECT_EQ(labelled(picture, "3").height, none.height);
  EXPECT_EQ(none.at(0, 40)[3], 255) << "the strip is not transparent";
}

TEST(Label, GrowsWithThePicture) {
  const auto ink = [](const Image& image) {
    return std::count(image.pixels.begin(), image.pixels.end(), 90);
  };
  EXPECT_EQ(ink(labelled(Image(256, 256, 1, 255), "front")),
            4 * ink(labelled(Image(128, 128, 1, 255), "front")));
}

}  // namespace
}  // namespace omni::image
