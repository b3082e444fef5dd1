#include "omni/kernels/embedding.h"

#include <gtest/gtest.h>

#include "gradient_check.h"

namespace omni::kernels {
namespace {

TEST(Embedding, IsTheTablesRowsWithTheCodebooksShare) {
  at::manual_seed(7);
  const at::Tensor indices = at::tensor({3, 8, 3, 9, 0, 8, 14}, at::kLong);
  const at::Tensor codebook = at::randn({6, 4}), other = at::randn({2, 3});
  // Tokens 8 .. 13 are codes; of the second codebook there are none.
  const at::Tensor positions = at::tensor({1, 3, 5}, at::kLong), codes = at::tensor({0, 1, 0}, at::kLong);
  const at::Tensor none = at::empty({0}, at::kLong);
  const auto run = [&](const std::vector<at::Tensor>& x) {
    return embed(x[0], indices,
                 std::vector<EmbeddedCodes>{{codebook, x[1], positions, codes}, {other, x[2], none, none}});
  };
  const auto reference = [&](const std::vector<at::Tensor>& x) {
    const at::Tensor shares = at::mm(codebook.to(at::kDouble), x[1].t()) + 0 * x[2].sum();
    return at::embedding(x[0], indices).index_add(0, positions, shares.index_select(0, codes));
  };
  // 100 columns: more than a thread takes at once.
  expect_same({at::randn({15, 100}), at::randn({100, 4}), at::randn({100, 3})}, run, reference, 1e-5);
}

TEST(Embedding, WhereThereIsNoCodeNothingIsAdded) {
  at::manual_seed(8);
  const at::Tensor indices = at::tensor({3, 8, 3, 9, 0}, at::kLong), codebook = at::randn({6, 4});
  const at::Tensor positions = at::tensor({1, 4, 3, 4, 4}, at::kLong),
                   codes = at::tensor({5, -1, 0, -1, -1}, at::kLong);
  const auto run = [&](const std::vector<at::Tensor>& x) {
    return embed(x[0], indices, std::vector<EmbeddedCodes>{{codebook, x[1], positions, codes}});
  };
  const auto reference = [&](const std::vector<at::Tensor>& x) {
    const at::Tensor shares = at::mm(codebook.to(at::kDouble), x[1].t());
    return at::embedding(x[0], indices)
        .index_add(0, at::tensor({1, 3}, at::kLong), shares.index_select(0, at::tensor({5, 0}, at::kLong)));
  };
  expect_same({at::randn({15, 100}), at::randn({100, 4})}, run, reference, 1e-5);
}

TEST(Embedding, AddsToTheGradientThatIsThere) {
  at::Tensor table = at::randn({5, 3}).requires_grad_();
  const at::Tensor indices = at::tensor({1, 1, 4}, at::kLong);
  embed(table, indices).sum().backward();
  const at::Tensor place = table.grad();
  embed(table, indices).sum().backward();
  EXPECT_TRUE(table.grad().is_same(place));
  EXPECT_TRUE(table.grad().equal(at::tensor({0.f, 4.f, 0.f, 0.f, 2.f}).unsqueeze(1).expand({5, 3})));
}

}  // namespace
}  // namespace omni::kernels
