#include "omni/model/model_sizes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/model/bundle.h"
#include "temporary_directory.h"

namespace omni::model {
namespace {

const std::filesystem::path kSource = std::filesystem::path(OMNI_TEST_FIXTURES) / "../..";

ModelSizes sizes_of(const std::string& name) {
  return model_sizes(ModelDescription::load(kSource / "configs/model" / (name + ".yaml")));
}

// What the publishers state.
TEST(ModelSizes, PublicModelsHaveThePublishedNumbers) {
  const ModelSizes qwen = sizes_of("qwen3_0_6b");
  EXPECT_EQ(qwen.parameters(), 596'049'920);
  EXPECT_EQ(qwen.tensors(), 310);
  const ModelSizes cube = sizes_of("cube3d_v0_5");
  EXPECT_EQ(cube.tensors(), 611);
  EXPECT_NEAR(4e-9 * static_cast<double>(cube.parameters()), 7.17, 0.005);
  EXPECT_EQ(sizes_of("cube3d_v0_1").parameters(), cube.parameters() - 1536 * 3 - 1536);
}

TEST(ModelSizes, TheTinyConfigIsTheShippedModel) {
  const Bundle shipped = load_bundle_shapes(kSource / "models/tiny/bundle");
  const ModelSizes tiny = sizes_of("tiny");
  EXPECT_EQ(tiny.parameters(), shipped.transformer->parameters().element_count());
  EXPECT_EQ(tiny.vocabulary.to_json(), shipped.vocabulary().to_json());
}

TEST(ModelSizes, NamedSizesAreWhatTheyAreCalled) {
  EXPECT_NEAR(1e-6 * static_cast<double>(sizes_of("small").parameters()), 100, 10);
  EXPECT_NEAR(1e-9 * static_cast<double>(sizes_of("base").parameters()), 1, 0.1);
  const ModelSizes omni = sizes_of("omni123");
  EXPECT_EQ(omni.transformer.dual_blocks, 24);
  EXPECT_EQ(omni.transformer.single_blocks, 6);
}

// A plain decoder, by hand.
TEST(ModelSizes, MemoryAndFlopsAreTheClosedForm) {
  const ModelSizes qwen = sizes_of("qwen3_0_6b");
  const double width = 1024, queries = 16 * 128, stored = 8 * 128, mlp = 3072, layers = 28,
               vocabulary = 151936 + 16;
  const double matrices = layers * (width * (queries + 2 * stored) + queries * width + 3 * width * mlp);
  EXPECT_EQ(qwen.generated.linear, 2 * matrices);
  EXPECT_EQ(qwen.generated.attention, layers * 4 * queries * 2048);
  EXPECT_EQ(qwen.generated.head, 2 * width * vocabulary);
  const double parameters = 596'049'920;
  EXPECT_EQ(qwen.sampling.at(0).weights, 4 * parameters);
  EXPECT_EQ(qwen.sampling.at(0).cache, layers * 2 * stored * 2048 * 4);
  EXPECT_NEAR(qwen.sampling.at(1).weights, 2 * parameters, 2e-3 * parameters);  // norms stay in fp32
  EXPECT_EQ(qwen.training.at(0).total(), 16 * parameters);
  EXPECT_EQ(qwen.training.at(1).masters, 4 * matrices);
  // A text token of a silent stream has no logits, and its last dual block only gives keys and values.
  const ModelSizes cube = sizes_of("cube3d_v0_5");
  EXPECT_EQ(cube.text.head, 0);
  EXPECT_LT(cube.text.linear, cube.generated.linear);
  // Its publisher's 0.93 billion weights are read for a token.
  EXPECT_NEAR(0.5e-9 * (cube.generated.linear + cube.generated.head), 0.93, 0.005);
}

TEST(ModelSizes, MistakesNameFileAndKey) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "x.yaml", std::string_view("family: qwen3\nqwen3: {layer: 3}\n"));
  try {
    ModelDescription::load(folder / "x.yaml");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("layers"));
  }
  write_file_atomically(folder / "x.yaml", std::string_view("transformer: {width: 7, heads: 2}\n"));
  EXPECT_THROW(model_sizes(ModelDescription::load(folder / "x.yaml")), Error);
}

}  // namespace
}  // namespace omni::model
