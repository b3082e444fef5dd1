#include "omni/nn/parameters.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "temporary_directory.h"

namespace omni::nn {
namespace {

TEST(ParameterStart, FarMoreWeightsThanTheFileHoldsAreRefused) {
  const test::TemporaryDirectory folder;
  ParameterStore saved;
  saved.add("weight", {3, 4}, Init::ones());
  saved.save(folder / "weights.safetensors");
  const SafetensorsFile file(folder / "weights.safetensors");
  ParameterStore store(ParameterStart::to_load(file));
  const Tensor weight = store.add("weight", {3, 4}, Init::zeros());
  store.load(file);
  EXPECT_TRUE(weight.equal(at::ones({3, 4})));
  try {
    // More than any memory holds: it must not be asked for.
    store.add("forged", {std::int64_t{1} << 31, std::int64_t{1} << 31, std::int64_t{1} << 31}, Init::zeros());
    FAIL() << "a forged size was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("weights.safetensors"), std::string::npos);
  }
}

TEST(ParameterStart, ASeedAndANameMakeAParameter) {
  ParameterStore first(7), second(7), other(8);
  second.add("another", {2}, Init::normal(1));
  const Tensor a = first.add("weight", {5}, Init::normal(1)), b = second.add("weight", {5}, Init::normal(1));
  EXPECT_TRUE(a.equal(b));
  EXPECT_FALSE(a.equal(other.add("weight", {5}, Init::normal(1))));
}

TEST(ParameterStart, ShapesTakeNoMemory) {
  ParameterStore store(ParameterStart::shapes());
  const Tensor weight = store.add("weight", {1 << 20, 1 << 20}, Init::normal(1));
  EXPECT_TRUE(weight.is_meta());
  EXPECT_EQ(store.element_count(), std::int64_t{1} << 40);
}

}  // namespace
}  // namespace omni::nn
