// What is to be edited has to be read as what it was: a mesh that sampling wrote, in metres and standing on the
// ground, goes back to the tokens that it was made of, or to such as decode to the same.
#include <gtest/gtest.h>

#include <cmath>

#include "omni/core/files.h"
#include "omni/data/procedural_world.h"
#include "omni/data/shape_sample.h"
#include "omni/evaluation/colour_score.h"
#include "omni/generation/mesh_export.h"
#include "omni/generation/request.h"
#include "omni/geometry/mesh_field.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/mesh_frame.h"
#include "omni/geometry/occupancy_bits.h"
#include "omni/sequence/layout.h"
#include "omni/tokenizers/shape_tokenizer.h"
#include "temporary_directory.h"

namespace omni::evaluation {
namespace {

struct Figures {
  double iou = 0, colour = 0, codes = 0, size = 0, box = 0;
  int objects = 0;
};

class ReadBackSlow : public testing::Test {
 protected:
  ReadBackSlow()
      : tokenizer_(tokenizers::load_shape_tokenizer(std::filesystem::path(OMNI_SOURCE_DIR) /
                                                    "models/tiny/shape_tokenizer")),
        source_({.seed = 1, .split = data::Split::new_instance, .count = kObjects}) {}

  tokenizers::ShapeCodes encode(const tokenizers::ShapeSample& sample) const {
    return tokenizer_->encode({&sample, 1}).front();
  }
  std::unique_ptr<tokenizers::DecodedShape> decode(const tokenizers::ShapeCodes& codes) const {
    return std::move(tokenizer_->decode({&codes, 1}).front());
  }

  static constexpr std::int64_t kObjects = 24;
  test::TemporaryDirectory folder_;
  std::unique_ptr<tokenizers::ShapeTokenizer> tokenizer_;
  data::ProceduralSource source_;
};

TEST_F(ReadBackSlow, AnObjectReconstructsAsItself) {
  Figures ceiling, back;
  for (std::int64_t i = 0; i < kObjects; ++i) {
    const data::ObjectRecord record = source_.load(i);
    const tokenizers::ShapeCodes codes =
        encode(data::make_shape_sample(record, tokenizer_->required_input(), CounterRng(1)));
    const auto shape = decode(codes);
    generation::ExtractedMesh mesh = generation::extract_mesh(*shape, {});
    generation::stand_on_ground(mesh);
    generation::scale_to_metres(mesh, record.longest_side_m);
    const std::filesystem::path file = folder_ / "object.glb";
    write_file_atomically(file, std::span<const std::byte>(geometry::encode_glb(mesh.mesh, *mesh.frame)));

    const generation::ShapeCondition read =
        generation::shape_condition(geometry::read_mesh(file), geometry::read_frame(file));
    geometry::Mesh normalised = std::get<geometry::Mesh>(read.shape);
    geometry::normalise(normalised, read.frame);
    const geometry::MeshField field(normalised);
    const tokenizers::ShapeCodes codes_back =
        encode(tokenizers::make_shape_sample(normalised, field, tokenizer_->required_input(), CounterRng(0)));
    const auto shape_back = decode(codes_back);

    const geometry::OccupancyBits truth(*record.field, 64);
    const double iou = intersection_over_union(geometry::OccupancyBits(*shape, 64), truth),
                 iou_back = intersection_over_union(geometry::OccupancyBits(*shape_back, 64), truth);
    const PartSurface parts =
        make_part_surface(record.parts, record.mesh, *record.field, 2048, CounterRng(3));
    ceiling.iou += iou / kObjects;
    back.iou += iou_back / kObjects;
    ceiling.colour += colour_score(*shape, parts).value() / kObjects;
    back.colour += colour_score(*shape_back, parts).value() / kObjects;
    int same = 0;
    for (std::size_t k = 0; k < codes.geometry.size(); ++k)
      same += codes.geometry[k] == codes_back.geometry[k];
    back.codes += static_cast<double>(same) / static_cast<double>(codes.geometry.size() * kObjects);
    back.size +=
        std::abs(sequence::size_bin(*read.longest_side_m) - sequence::size_bin(record.longest_side_m)) /
        static_cast<double>(kObjects);
    const geometry::Vec3 extent = record.mesh.bounds().extent(), extent_back = *read.extent;
    const float longest = std::max({extent_back.x, extent_back.y, extent_back.z});
    for (std::size_t axis = 0; axis < 3; ++axis)
      back.box += std::abs(sequence::box_bin(extent_back[axis] / longest) -
                           sequence::box_bin(extent[axis] / geometry::kNormalisedLongestSide)) /
                  static_cast<double>(3 * kObjects);
  }
  EXPECT_GT(back.iou, ceiling.iou - 0.02) << ceiling.iou;
  EXPECT_GT(back.colour, ceiling.colour - 0.02) << ceiling.colour;
  EXPECT_GT(back.codes, 0.88);
  EXPECT_LT(back.size, 0.25) << "bins";
  EXPECT_LT(back.box, 0.5) << "bins";
}

}  // namespace
}  // namespace omni::evaluation
