#include "omni/image/object_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "omni/core/error.h"

namespace omni::image {
namespace {

using Colour = std::array<std::uint8_t, 3>;

constexpr int kGroundTolerance =
    24;                         // of 255 in any channel: a ground's own noise, JPEG's and light falling off
constexpr int kSameColour = 4;  // what only the ground itself is near to, seen through an object's holes
constexpr int kWhite = 250;
constexpr double kPlainShare = 0.6;  // of the edges; the rest may be an object that they cut off
constexpr double kCutShare = 0.02;   // of an edge
constexpr double kUsualCutShare =
    0.3;  // training's own views touch the lower edge with the corners of large objects
constexpr int kLargestPicture = 1024;     // pixels a side; models read far fewer
constexpr double kSmallestObject = 1e-3;  // of the pixels

// Of 1,000 pictures of the procedural world from the canonical views the object's longer side takes 0.45 to 0.94 of the
// picture's, 0.67 in the middle; its middle lies at 0.42 to 0.58 from the left and 0.44 to 0.66 from above.
constexpr double kSmallestSide = 0.42, kUsualSide = 0.67, kLargestSide = 0.96;
constexpr double kUsualLeft = 0.5, kFarthestLeft = 0.1, kUsualTop = 0.53, kFarthestTop = 0.15;

struct Box {
  int left, top, right, bottom;  // the last two are not in it

  int width() const { return right - left; }
  int height() const { return bottom - top; }
  int longer_side() const { return std::max(width(), height()); }
};

// Where the ground shows. Nothing of the object is outside of the picture.
struct GroundMask {
  int width, height;
  std::vector<std::uint8_t> shown;  // 1 where it does, rows from the top

  std::uint8_t& at(int x, int y) { return shown[static_cast<std::size_t>(y) * width + x]; }
  bool is_object(int x, int y) const {
    return x >= 0 && y >= 0 && x < width && y < height && shown[static_cast<std::size_t>(y) * width + x] == 0;
  }
};

int distance(const std::uint8_t* pixel, const Colour& colour) {
  int most = 0;
  for (int c = 0; c < 3; ++c) most = std::max(most, std::abs(pixel[c] - colour[c]));
  return most;
}

template <class Visit>
void for_edge_pixels(const Image& picture, const Visit& visit) {
  for (int x = 0; x < picture.width; ++x) {
    visit(x, 0);
    visit(x, picture.height - 1);
  }
  for (int y = 0; y < picture.height; ++y) {
    visit(0, y);
    visit(picture.width - 1, y);
  }
}

Image at_most(Image picture, int side) {
  const int longer = std::max(picture.width, picture.height);
  if (longer <= side) return picture;
  const auto shrunk = [&](int pixels) {
    return std::max(1, static_cast<int>(std::int64_t{pixels} * side / longer));
  };
  return resize(picture, shrunk(picture.width), shrunk(picture.height));
}

// The median of the edges, channel by channel; nothing where too few pixels of them are near it.
std::optional<Colour> plain_ground(const Image& picture) {
  std::array<std::vector<std::uint8_t>, 3> edge;
  for_edge_pixels(picture, [&](int x, int y) {
    for (int c = 0; c < 3; ++c) edge[c].push_back(picture.at(x, y)[c]);
  });
  Colour ground;
  for (int c = 0; c < 3; ++c) {
    const auto middle = edge[c].begin() + static_cast<std::ptrdiff_t>(edge[c].size() / 2);
    std::nth_element(edge[c].begin(), middle, edge[c].end());
    ground[c] = *middle;
  }
  std::size_t near = 0;
  for_edge_pixels(picture,
                  [&](int x, int y) { near += distance(picture.at(x, y), ground) <= kGroundTolerance; });
  if (static_cast<double>(near) < kPlainShare * static_cast<double>(edge[0].size())) return std::nullopt;
  return ground;
}

// What joins the edges, and what is just its colour inside.
GroundMask ground_mask(const Image& picture, const Colour& ground) {
  const int width = picture.width, height = picture.height;
  GroundMask mask{width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width) * height)};
  std::vector<std::pair<int, int>> open;
  const auto reach = [&](int x, int y) {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    std::uint8_t& seen = mask.at(x, y);
    if (seen != 0 || distance(picture.at(x, y), ground) > kGroundTolerance) return;
    seen = 1;
    open.emplace_back(x, y);
  };
  for_edge_pixels(picture, reach);
  while (!open.empty()) {
    const auto [x, y] = open.back();
    open.pop_back();
    reach(x - 1, y);
    reach(x + 1, y);
    reach(x, y - 1);
    reach(x, y + 1);
  }
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      if (distance(picture.at(x, y), ground) <= kSameColour) mask.at(x, y) = 1;
  return mask;
}

// Of what is not ground; single pixels are specks. Nothing where hardly any of the picture is.
std::optional<Box> object_box(const GroundMask& ground) {
  const int width = ground.width, height = ground.height;
  Box box{width, height, 0, 0};
  std::size_t pixels = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      if (!ground.is_object(x, y)) continue;
      const int across = ground.is_object(x - 1, y) + ground.is_object(x + 1, y);
      const int along = ground.is_object(x, y - 1) + ground.is_object(x, y + 1);
      if (across == 0 || along == 0) continue;
      ++pixels;
      box = {std::min(box.left, x), std::min(box.top, y), std::max(box.right, x + 1),
             std::max(box.bottom, y + 1)};
    }
  }
  if (static_cast<double>(pixels) < std::max(4.0, kSmallestObject * width * height)) return std::nullopt;
  return box;
}

std::optional<std::string> cut_edge(const GroundMask& ground, double share) {
  const int width = ground.width, height = ground.height;
  int left = 0, right = 0, top = 0, bottom = 0;
  for (int y = 0; y < height; ++y) left += ground.is_object(0, y), right += ground.is_object(width - 1, y);
  for (int x = 0; x < width; ++x) top += ground.is_object(x, 0), bottom += ground.is_object(x, height - 1);
  const auto cuts = [&](int pixels, int edge) { return pixels > std::max(1.0, share * edge); };
  const char* edge = cuts(left, height)    ? "left"
                     : cuts(right, height) ? "right"
                     : cuts(top, width)    ? "upper"
                     : cuts(bottom, width) ? "lower"
                                           : nullptr;
  if (edge == nullptr) return std::nullopt;
  return concat("the ", edge, " edge cuts the object off");
}

bool is_usual(const Image& picture, const Colour& ground, const Box& box) {
  if (picture.width != picture.height || *std::min_element(ground.begin(), ground.end()) < kWhite)
    return false;
  const double side = picture.width;
  const double share = box.longer_side() / side;
  const double left = (box.left + box.right) / 2 / side, top = (box.top + box.bottom) / 2 / side;
  return share >= kSmallestSide && share <= kLargestSide && std::abs(left - kUsualLeft) <= kFarthestLeft &&
         std::abs(top - kUsualTop) <= kFarthestTop;
}

// The object before white, in a square of which its longer side takes the usual share.
Image cut_out(const Image& picture, const GroundMask& ground, const Box& box) {
  const int side = static_cast<int>(std::lround(box.longer_side() / kUsualSide));
  Image framed(side, side, 3, 255);
  const int left = static_cast<int>(std::lround(side * kUsualLeft - box.width() / 2.0));
  const int top = static_cast<int>(std::lround(side * kUsualTop - box.height() / 2.0));
  for (int y = box.top; y < box.bottom; ++y)
    for (int x = box.left; x < box.right; ++x)
      if (ground.is_object(x, y))
        std::copy_n(picture.at(x, y), 3, framed.at(left + x - box.left, top + y - box.top));
  return framed;
}

}  // namespace

ObjectPicture frame_object(const Image& given, const std::string& name) {
  const Image picture = at_most(to_rgb(given), kLargestPicture);
  const std::optional<Colour> ground = plain_ground(picture);
  if (!ground) return {centre_square(picture), false, "its ground is not plain"};
  const GroundMask mask = ground_mask(picture, *ground);
  const std::optional<Box> box = object_box(mask);
  if (!box)
    fail(ErrorKind::input, "looking for an object in the picture ", name,
         ": it is of one colour. Give one that shows something.");
  const bool usual = is_usual(picture, *ground, *box);
  std::optional<std::string> doubt = cut_edge(mask, usual ? kUsualCutShare : kCutShare);
  if (usual) return {picture, false, std::move(doubt)};
  return {cut_out(picture, mask, *box), true, std::move(doubt)};
}

}  // namespace omni::image
