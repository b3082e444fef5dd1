#include "omni/optimizer/muon.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "omni/core/error.h"
#include "temporary_directory.h"

namespace omni::optimizer {
namespace {

void set_gradients(nn::ParameterStore& store, std::uint64_t seed) {
  at::manual_seed(seed);
  for (const nn::Parameter& p : store.all()) at::Tensor(p.value).mutable_grad() = at::randn(p.value.sizes());
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

TEST(Muon, TakesTheMatricesOfBlocksAlone) {
  nn::ParameterStore store(1);
  const at::Tensor hidden = store.add("single_blocks.0.down.weight", {6, 8}, nn::Init::normal(1));
  const at::Tensor norm = store.add("single_blocks.0.norm.weight", {6}, nn::Init::ones());
  const at::Tensor table = store.add("embedding.weight", {9, 6}, nn::Init::normal(1));
  const at::Tensor norm_before = norm.detach().clone(), table_before = table.detach().clone();
  const at::Tensor before = hidden.detach().clone();
  Muon muon(store, {.enabled = true}, 0.0);
  set_gradients(store, 2);
  muon.step(0.1);
  EXPECT_TRUE(norm.equal(norm_before));
  EXPECT_TRUE(table.equal(table_before));
  // Entries of an update have the root mean square 0.2 learning rates, as AdamW's do.
  const double size = (hidden - before).square().mean().sqrt().item<double>();
  EXPECT_NEAR(size, 0.1 * 0.2, 0.1 * 0.2 * 0.25);
}

// Queries, keys and values share a tensor; each is made orthogonal by itself.
TEST(Muon, StackedMatricesAreUpdatedLikeSingleOnes) {
  nn::ParameterStore together(1), apart(1);
  const at::Tensor qkv = together.add("blocks.0.qkv.weight", {12, 4}, nn::Init::normal(1));
  std::vector<at::Tensor> parts;
  for (int i = 0; i < 3; ++i)
    parts.push_back(apart.add("blocks.0." + std::to_string(i) + ".weight", {4, 4}, nn::Init::zeros()));
  Muon one(together, {.enabled = true}, 0.1), three(apart, {.enabled = true}, 0.1);
  set_gradients(together, 3);
  {
    const c10::NoGradGuard guard;
    for (int i = 0; i < 3; ++i) {
      parts[i].copy_(qkv.narrow(0, 4 * i, 4));
      parts[i].mutable_grad() = qkv.grad().narrow(0, 4 * i, 4).clone();
    }
  }
  one.step(0.1);
  three.step(0.1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(at::allclose(qkv.narrow(0, 4 * i, 4), parts[i], 1e-5, 1e-6)) << i;
}

TEST(Muon, ResumesFromItsState) {
  const test::TemporaryDirectory folder;
  nn::ParameterStore first(1), second(1);
  for (auto* store : {&first, &second}) store->add("blocks.0.down.weight", {4, 6}, nn::Init::normal(1));
  Muon a(first, {.enabled = true}, 0.1), b(second, {.enabled = true}, 0.1);
  set_gradients(first, 4);
  a.step(0.1);
  std::vector<NamedTensorView> views;
  const auto state = a.state();
  for (const auto& [name, tensor] : state) views.push_back({name, nn::view_of(tensor)});
  write_safetensors(folder / "state.safetensors", views);
  {
    const c10::NoGradGuard guard;
    at::Tensor(second.all()[0].value).copy_(first.all()[0].value);
  }
  b.load_state(SafetensorsFile(folder / "state.safetensors"));
  set_gradients(first, 5);
  set_gradients(second, 5);
  a.step(0.1);
  b.step(0.1);
  EXPECT_TRUE(first.all()[0].value.equal(second.all()[0].value));
  nn::ParameterStore other(1);
  other.add("blocks.0.down.weight", {4, 5}, nn::Init::normal(1));
  Muon c(other, {.enabled = true}, 0.1);
  EXPECT_THROW(c.load_state(SafetensorsFile(folder / "state.safetensors")), Error);
}

}  // namespace
}  // namespace omni::optimizer
