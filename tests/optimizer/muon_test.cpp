#include "omni/optimizer/muon.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "omni/core/error.h"
#include "omni/optimizer/groups.h"
#include "temporary_directory.h"

namespace omni::optimizer {
namespace {

nn::ParameterScope block_of(nn::ParameterStore& store) {
  return nn::ParameterScope(store, "single_blocks.0").unit(nn::ParameterUnit::Kind::block);
}

void set_gradients(nn::ParameterStore& store, std::uint64_t seed) {
  at::manual_seed(seed);
  for (const nn::Parameter& p : store.all()) p.value.grad().copy_(at::randn(p.value.sizes()));
}

// U V^T of the singular value decomposition is the nearest orthogonal matrix.
TEST(Muon, OrthogonalisesToUnitSingularValuesInTheSameDirections) {
  at::manual_seed(1);
  for (const auto& [rows, columns] :
       {std::pair{12, 12}, std::pair{8, 20}, std::pair{20, 8}, std::pair{1, 5}}) {
    const at::Tensor x = at::randn({3, rows, columns});
    const at::Tensor y = orthogonalised(x, 8);
    ASSERT_EQ(y.sizes(), x.sizes());
    const auto [u, s, v] = at::linalg_svd(x.to(at::kDouble), false);
    const at::Tensor own = at::matmul(at::matmul(u.transpose(1, 2), y.to(at::kDouble)), v.transpose(1, 2));
    const at::Tensor diagonal = own.diagonal(0, 1, 2);
    EXPECT_GT(diagonal.min().item<double>(), 0.6) << rows << "x" << columns;
    EXPECT_LT(diagonal.max().item<double>(), 1.3) << rows << "x" << columns;
    EXPECT_LT((own - at::diag_embed(diagonal)).abs().max().item<double>(), 0.1) << rows << "x" << columns;
  }
}

// Ranks that share the matrices of a run hold different batches of them.
TEST(Muon, AMatrixOfABatchIsOrthogonalisedAsItIsAlone) {
  at::manual_seed(1);
  for (const auto& [rows, columns] : {std::pair(24, 40), {40, 24}, {16, 24}, {24, 24}}) {
    // Of low rank: much is made of what there is in the other directions.
    const at::Tensor x = at::bmm(at::randn({3, rows, 8}), at::randn({3, 8, columns}));
    const at::Tensor together = orthogonalised(x, 5);
    for (std::int64_t i = 0; i < 3; ++i)
      EXPECT_TRUE(together[i].equal(orthogonalised(x[i].clone().unsqueeze(0), 5)[0]))
          << rows << ' ' << columns;
  }
}

TEST(Muon, TakesTheMatricesOfBlocksAlone) {
  nn::ParameterStore store(1);
  const nn::ParameterScope block = block_of(store);
  const at::Tensor hidden = block.add("down.weight", {6, 8}, nn::Init::normal(1));
  const at::Tensor norm = block.add("norm.weight", {6}, nn::Init::ones());
  const at::Tensor table = store.add("embedding.weight", {9, 6}, nn::Init::normal(1));
  const at::Tensor norm_before = norm.detach().clone(), table_before = table.detach().clone();
  const at::Tensor before = hidden.detach().clone();
  seal_for(store, {}, {.enabled = true});
  Muon muon(store, {.enabled = true}, 0.0);
  set_gradients(store, 2);
  muon.step(0.1);
  EXPECT_TRUE(norm.equal(norm_before));
  EXPECT_TRUE(table.equal(table_before));
  // Entries of an update have the root mean square 0.2 learning rates, as AdamW's do.
  const double size = (hidden - before).square().mean().sqrt().item<double>();
  EXPECT_NEAR(size, 0.1 * 0.2, 0.1 * 0.2 * 0.25);
}

// Queries, keys and values share a tensor; each is made orthogonal by itself, whatever their sizes.
TEST(Muon, StackedMatricesAreUpdatedLikeSingleOnes) {
  nn::ParameterStore together(1), apart(1);
  const std::vector<std::int64_t> rows = {4, 2, 2};
  const at::Tensor qkv =
      block_of(together).add("qkv.weight", {8, 4}, nn::Init::normal(1), {.stacked_rows = rows});
  std::vector<at::Tensor> parts;
  const nn::ParameterScope block = block_of(apart);
  for (int i = 0; i < 3; ++i) parts.push_back(block.sub(i).add("weight", {rows[i], 4}, nn::Init::zeros()));
  for (nn::ParameterStore* store : {&together, &apart}) seal_for(*store, {}, {.enabled = true});
  Muon one(together, {.enabled = true}, 0.1), three(apart, {.enabled = true}, 0.1);
  set_gradients(together, 3);
  {
    const c10::NoGradGuard guard;
    for (int i = 0; i < 3; ++i) {
      parts[i].copy_(qkv.split_with_sizes(rows)[i]);
      parts[i].grad().copy_(qkv.grad().split_with_sizes(rows)[i]);
    }
  }
  one.step(0.1);
  three.step(0.1);
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(at::allclose(qkv.split_with_sizes(rows)[i], parts[i], 1e-5, 1e-6)) << i;
}

TEST(Muon, ResumesFromItsState) {
  const test::TemporaryDirectory folder;
  nn::ParameterStore first(1), second(1);
  for (auto* store : {&first, &second}) {
    block_of(*store).add("down.weight", {4, 6}, nn::Init::normal(1));
    seal_for(*store, {}, {.enabled = true});
  }
  Muon a(first, {.enabled = true}, 0.1), b(second, {.enabled = true}, 0.1);
  set_gradients(first, 4);
  a.step(0.1);
  std::vector<NamedTensorView> views;
  const auto state = named_state(a.section_state(), first);
  for (const auto& [name, tensor] : state) views.push_back({name, nn::view_of(tensor)});
  write_safetensors(folder / "state.safetensors", views);
  {
    const c10::NoGradGuard guard;
    at::Tensor(second.all()[0].value).copy_(first.all()[0].value);
  }
  load_state(SafetensorsFile(folder / "state.safetensors"), b.section_state(), second);
  set_gradients(first, 5);
  set_gradients(second, 5);
  a.step(0.1);
  b.step(0.1);
  EXPECT_TRUE(first.all()[0].value.equal(second.all()[0].value));
  nn::ParameterStore other(1);
  block_of(other).add("down.weight", {4, 5}, nn::Init::normal(1));
  seal_for(other, {}, {.enabled = true});
  Muon c(other, {.enabled = true}, 0.1);
  EXPECT_THROW(load_state(SafetensorsFile(folder / "state.safetensors"), c.section_state(), other), Error);
}

}  // namespace
}  // namespace omni::optimizer
