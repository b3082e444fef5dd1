#include "omni/nn/parameter_units.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/kernels/cast_linear.h"
#include "omni/nn/cast_weights.h"
#include "omni/nn/parameters.h"
#include "temporary_directory.h"

namespace omni::nn {
namespace {

struct Net {
  ParameterStore store{5};
  Tensor table, up, down, norm, codebook;

  Net() {
    const ParameterScope root(store);
    table = root.add("table", {5, 3}, Init::normal(1));
    codebook = root.add("codebook", {4, 3}, Init::normal(1), {.trainable = false});
    const ParameterScope block = root.sub("blocks").sub(0).unit(ParameterUnit::Kind::block);
    up = block.add("up", {7, 3}, Init::normal(1));
    norm = block.add("norm", {7}, Init::ones());
    down = block.add("down", {3, 7}, Init::normal(1));
  }
  // A loss that all of them have a share in.
  Tensor loss(at::ScalarType type) const {
    const CastWeight cast_up(up), cast_down(down);
    const Tensor x = table.to(type);
    const Tensor hidden = kernels::cast_linear(x, up, cast_up.as(type), {}) * norm.to(type);
    return kernels::cast_linear(hidden, down, cast_down.as(type), {}).to(at::kFloat).square().sum();
  }
};

TEST(ParameterUnits, AreWhatTheScopesSay) {
  Net net;
  net.store.seal({});
  const std::vector<ParameterUnit>& units = net.store.units();
  ASSERT_EQ(units.size(), 2);
  EXPECT_EQ(units[0].kind, ParameterUnit::Kind::root);
  EXPECT_EQ(units[1].name, "blocks.0");
  EXPECT_EQ(net.store.find("blocks.0.norm")->unit, 1);
  std::vector<std::string> of_block;
  for (const ParameterSection& section : units[1].sections)
    for (const auto& member : section.members) of_block.push_back(net.store.all()[member.parameter].name);
  EXPECT_EQ(of_block, (std::vector<std::string>{"blocks.0.up", "blocks.0.norm", "blocks.0.down"}));
}

TEST(ParameterUnits, KeepValuesHandlesAndNames) {
  Net sealed, loose;
  sealed.store.seal({});
  for (const auto& [own, other] : {std::pair{sealed.table, loose.table},
                                   {sealed.up, loose.up},
                                   {sealed.down, loose.down},
                                   {sealed.norm, loose.norm},
                                   {sealed.codebook, loose.codebook}})
    EXPECT_TRUE(own.equal(other));
  EXPECT_TRUE(sealed.store.find("blocks.0.up")->value.is_same(sealed.up));
  const test::TemporaryDirectory folder;
  sealed.store.save(folder / "weights.safetensors");
  Net read;
  {
    const c10::NoGradGuard guard;
    read.up.zero_();
    read.codebook.zero_();
  }
  read.store.seal({.matrix_type = at::kBFloat16});
  const auto version = read.up._version();
  read.store.load(SafetensorsFile(folder / "weights.safetensors"));
  EXPECT_TRUE(read.store.find("blocks.0.up")->master.equal(loose.up));
  EXPECT_TRUE(read.up.equal(loose.up.to(at::kBFloat16)));
  EXPECT_TRUE(read.codebook.equal(loose.codebook));
  EXPECT_GT(read.up._version(), version);
}

TEST(ParameterUnits, LieFlatAndAligned) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Net net;
    net.store.seal(
        {.matrix_type = type, .group = [](const Parameter& p) { return p.value.dim() == 2 ? 0 : 1; }});
    for (const ParameterUnit& unit : net.store.units()) {
      std::int64_t elements = 0;
      for (const ParameterSection& section : unit.sections) {
        elements += section.size();
        for (const auto& member : section.members) {
          const Parameter& parameter = net.store.all()[member.parameter];
          const auto* first = static_cast<const char*>(section.values.const_data_ptr());
          const auto* own = static_cast<const char*>(parameter.value.const_data_ptr());
          EXPECT_EQ((own - first) % kLeafAlignmentBytes, 0) << parameter.name;
          EXPECT_EQ(own - first, member.first * section.values.element_size()) << parameter.name;
          EXPECT_TRUE(parameter.value.grad().is_alias_of(unit.gradients)) << parameter.name;
        }
      }
      EXPECT_EQ(unit.gradients.numel(), elements);
    }
    EXPECT_EQ(net.up.scalar_type(), type);
    EXPECT_EQ(net.norm.scalar_type(), at::kFloat);
    EXPECT_EQ(net.table.scalar_type(), at::kFloat);
    EXPECT_FALSE(net.codebook.grad().defined());
  }
}

// Two backward passes add up in the flat buffer to what two into ordinary leaves do.
TEST(ParameterUnits, GradientsAreAddedInTheFlatBuffer) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Net loose, sealed;
    sealed.store.seal({.matrix_type = type});
    for (int pass = 0; pass < 2; ++pass) {
      loose.loss(type).backward();
      sealed.loss(type).backward();
    }
    for (const char* name : {"table", "blocks.0.up", "blocks.0.norm", "blocks.0.down"}) {
      const Tensor expected = loose.store.find(name)->value.grad();
      const Tensor got = sealed.store.find(name)->value.grad();
      EXPECT_EQ(got.scalar_type(), at::kFloat) << name;
      EXPECT_TRUE(got.equal(expected)) << name;
      EXPECT_TRUE(got.is_alias_of(sealed.store.units()[name[0] == 't' ? 0 : 1].gradients)) << name;
    }
    sealed.store.zero_gradients();
    EXPECT_EQ(sealed.up.grad().abs().max().item<float>(), 0);
  }
}

TEST(ParameterUnits, CopiesOfLeavesFollowTheMasters) {
  Net net;
  net.store.seal({});
  const CastWeight cast(net.up);
  const Tensor before = cast.as(at::kBFloat16).clone();
  net.store.find("blocks.0.up")->master.add_(1);
  net.store.masters_changed();
  EXPECT_TRUE(cast.as(at::kBFloat16).equal(net.up.detach().to(at::kBFloat16)));
  EXPECT_FALSE(cast.as(at::kBFloat16).equal(before));
}

// Two ranks' halves of a block make what it was, and what is released is seen where it is read.
TEST(ParameterUnits, FullyShardedBlocksAreThereWhileTheyAreHeld) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Net loose, nets[2];
    for (int rank = 0; rank < 2; ++rank)
      nets[rank].store.seal({.matrix_type = type, .rank = rank, .ranks = 2, .fully = true});
    for (Net& net : nets) {
      EXPECT_FALSE(net.store.units()[0].is_fully_sharded());
      EXPECT_TRUE(net.store.units()[1].is_fully_sharded());
      EXPECT_TRUE(net.table.equal(loose.table));
      EXPECT_EQ(net.up.sizes(), loose.up.sizes());
      EXPECT_TRUE(net.up.isnan().all().item<bool>());
      EXPECT_EQ(net.up.storage().nbytes(), net.up.element_size());
      EXPECT_FALSE(net.up.grad().defined());
      // What is gathered when it is wanted follows no update; the root's does, where it has masters beside it.
      for (const ParameterSection& section : net.store.units()[1].sections)
        EXPECT_FALSE(section.following_values().defined());
      for (const ParameterSection& section : net.store.units()[0].sections)
        EXPECT_EQ(section.following_values().defined(), section.values.scalar_type() != at::kFloat);
      net.store.hold_values(1);
    }
    const c10::NoGradGuard no_grad;
    for (std::size_t s = 0; s < nets[0].store.units()[1].sections.size(); ++s) {
      ParameterSection *own = &nets[0].store.units()[1].sections[s],
                       *other = &nets[1].store.units()[1].sections[s];
      own->values.narrow(0, other->owned.first, other->owned.count).copy_(other->masters);
    }
    EXPECT_TRUE(nets[0].up.equal(loose.up.to(type)));
    EXPECT_TRUE(nets[0].down.equal(loose.down.to(type)));
    EXPECT_TRUE(nets[0].norm.equal(loose.norm));
    nets[0].store.hold_gradients(1);
    EXPECT_TRUE(nets[0].up.grad().is_alias_of(nets[0].store.units()[1].gradients));
    EXPECT_EQ(nets[0].up.grad().abs().max().item<float>(), 0);
    nets[0].store.release_gradients(1);
    nets[0].store.release_values(1);
    EXPECT_TRUE(nets[0].down.isnan().all().item<bool>());
    EXPECT_FALSE(nets[0].down.grad().defined());
    nets[0].store.unseal([&](const ParameterSection& section) {
      Tensor whole = at::zeros({section.size()});
      for (const Net& net : nets)
        for (const ParameterUnit& unit : net.store.units())
          for (const ParameterSection& part : unit.sections)
            if (part.members.front().parameter == section.members.front().parameter)
              part.owned_part(whole).copy_(part.masters);
      return whole;
    });
    EXPECT_TRUE(nets[0].up.equal(loose.up));
    EXPECT_TRUE(nets[0].table.equal(loose.table));
  }
}

TEST(ParameterUnits, RowsThatAreFrozenHaveNoGradientWhereverTheyLie) {
  for (const bool fully : {false, true}) {
    double left = 0;
    for (int rank = 0; rank < 3; ++rank) {
      Net net;
      net.store.freeze_rows("blocks.0.norm", {2, 3});
      net.store.seal({.rank = rank, .ranks = 3, .fully = fully});
      for (ParameterUnit& unit : net.store.units())
        for (ParameterSection& section : unit.sections) section.owned_gradients().fill_(1);
      net.store.zero_frozen_gradients();
      for (ParameterUnit& unit : net.store.units())
        for (ParameterSection& section : unit.sections)
          for (const OwnedPiece& piece : owned_pieces(section))
            left +=
                section.owned_gradients().narrow(0, piece.first, piece.elements.count).sum().item<double>();
    }
    EXPECT_EQ(left, static_cast<double>(Net().store.element_count() - Net().codebook.numel() - 3)) << fully;
  }
}

TEST(ParameterUnits, ASealedStoreTakesNothingMore) {
  Net net;
  net.store.seal({});
  EXPECT_THROW(net.store.add("late", {1}, Init::zeros()), Error);
  EXPECT_THROW(net.store.seal({}), Error);
}

}  // namespace
}  // namespace omni::nn
