#include "omni/generation/request.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "request_segments.h"

namespace omni::generation {
namespace {

using sequence::Modality;

TEST(View, IsReadAndBinned) {
  const View view = parse_view("-92,14");
  EXPECT_EQ(azimuth_bin(view), 18);  // -90 degrees
  EXPECT_EQ(elevation_bin(view), 3);
  EXPECT_EQ(azimuth_bin({359, 0}), 0);
  EXPECT_EQ(elevation_bin({0, 90}), 6);
  EXPECT_EQ(elevation_bin({0, -90}), 0);
  for (const char* wrong : {"", "1", "1,", ",1", "a,b", "1,2,3", "0,91", "nan,0", "1e9,0", "1 ,2"}) {
    EXPECT_THROW((void)parse_view(wrong), Error) << wrong;
  }
}

TEST(Guidance, IsReadByModality) {
  const sequence::Task task = sequence::built_in_task("text+image->shape");
  EXPECT_EQ(parse_guidance("3").weights_for(task), (std::vector<double>{3, 3}));
  EXPECT_EQ(parse_guidance("image=1.5").weights_for(task), (std::vector<double>{1, 1.5}));
  EXPECT_EQ(parse_guidance("image=1.5,text=4").weights_for(task), (std::vector<double>{4, 1.5}));
  EXPECT_THROW((void)parse_guidance("shape=2").weights_for(task), Error);
  for (const char* wrong : {"", "text", "text=", "text=x", "sound=2", "text=1;image=2", "-1", "text=-0.5",
                            "1e9", "nan", "text=3,text=2", "text=3,text=3"}) {
    EXPECT_THROW((void)parse_guidance(wrong), Error) << wrong;
  }
}

TEST(DefaultTask, FollowsWhatIsGivenAndWanted) {
  EXPECT_EQ(default_task(1, 0, 0, Modality::shape, false), "text->shape");
  EXPECT_EQ(default_task(1, 0, 0, Modality::image, false), "text->image");
  EXPECT_EQ(default_task(0, 1, 0, Modality::shape, false), "image->shape");
  EXPECT_EQ(default_task(0, 0, 1, Modality::image, true), "shape->image@view");
  EXPECT_EQ(default_task(0, 0, 1, Modality::text, false), "shape->text");
  EXPECT_EQ(default_task(1, 0, 1, Modality::shape, false), "shape+text->shape");
  EXPECT_THROW((void)default_task(0, 0, 0, Modality::shape, false), Error);
  EXPECT_THROW((void)default_task(3, 0, 0, Modality::shape, false), Error);
  for (const auto& [prompts, images, shapes] : {std::array<std::size_t, 3>{1, 0, 0}, {0, 1, 0}, {0, 2, 0}}) {
    const std::string name = default_task(prompts, images, shapes, Modality::shape, false);
    EXPECT_NO_THROW((void)sequence::built_in_task(name)) << name;
  }
}

TEST(ShapeCondition, KeepsTheSizeOfTheMesh) {
  geometry::Mesh mesh;
  mesh.positions = {{0, 0, 0}, {4, 0, 0}, {0, 2, 0}, {0, 0, 1}};
  mesh.triangles = {{0, 2, 1}, {0, 1, 3}, {0, 3, 2}, {1, 2, 3}};
  const ShapeCondition condition = shape_condition(mesh);
  EXPECT_FLOAT_EQ(*condition.longest_side_m, 4);
  EXPECT_EQ(*condition.extent, (geometry::Vec3{4, 2, 1}));
  EXPECT_THROW((void)shape_condition({}), Error);
  mesh.positions.assign(4, {1, 1, 1});
  EXPECT_THROW((void)shape_condition(mesh), Error);
}

TEST(ShapeSample, IsOfTheMeshInTheNormalisedFrame) {
  geometry::Mesh mesh;
  mesh.positions = {{0, 0, 0}, {4, 0, 0}, {0, 2, 0}, {0, 0, 1}};
  mesh.triangles = {{0, 2, 1}, {0, 1, 3}, {0, 3, 2}, {1, 2, 3}};
  tokenizers::ShapeInput input;
  input.grid_resolution = 16;
  float inside = 0;
  for (const float share : shape_sample(mesh, input).grid.occupancy) inside += share;
  const float cell = 2.0f / 16, scale = 1.92f / 4;
  EXPECT_NEAR(inside * cell * cell * cell, 4.0f * 2 * 1 / 6 * scale * scale * scale, 0.03);
}

}  // namespace
}  // namespace omni::generation
