#include "omni/kernels/gradient_function.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <functional>

#include "omni/core/error.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;

// A function of two lambdas.
class Lambdas : public GradientFunction {
 public:
  using Forward = std::function<Tensors(ForwardContext&, const Tensors&)>;
  using Backward = std::function<Tensors(const BackwardContext&, const Tensors&)>;

  Lambdas(Forward forward, Backward backward)
      : forward_(std::move(forward)), backward_(std::move(backward)) {}
  Tensors forward(ForwardContext& context, const Tensors& inputs) const override {
    return forward_(context, inputs);
  }
  Tensors backward(const BackwardContext& context, const Tensors& gradients) const override {
    return backward_(context, gradients);
  }

 private:
  Forward forward_;
  Backward backward_;
};

Tensors apply(Lambdas::Forward forward, Lambdas::Backward backward, const Tensors& inputs) {
  return apply_with_gradient(std::make_unique<Lambdas>(std::move(forward), std::move(backward)), inputs);
}

Tensors no_gradients(const BackwardContext&, const Tensors&) { return {Tensor()}; }

// exp(x), whose gradient takes the output.
Tensor exponential(const Tensor& x) {
  const auto forward = [](ForwardContext& context, const Tensors& inputs) {
    const Tensor y = inputs[0].exp();
    context.save({y});
    return Tensors{y};
  };
  const auto backward = [](const BackwardContext& context, const Tensors& gradients) {
    return Tensors{gradients[0] * context.saved()[0]};
  };
  return apply(forward, backward, {x}).front();
}

Tensor numbers() { return at::randn({3, 4}, at::kDouble); }

TEST(GradientFunction, AgreesWithAutograd) {
  at::manual_seed(1);
  const Tensor a = numbers().requires_grad_(), b = numbers(), c = numbers().requires_grad_();
  // Beside `a * b + c`: an undefined input in between, which moves the edge of `c`.
  const auto forward = [](ForwardContext& context, const Tensors& inputs) {
    EXPECT_FALSE(inputs[1].defined());
    EXPECT_FALSE(at::GradMode::is_enabled());
    context.save({inputs[0], inputs[1], inputs[2]});
    return Tensors{inputs[0] * inputs[2] + inputs[3], inputs[3].exp()};
  };
  const auto backward = [](const BackwardContext& context, const Tensors& gradients) {
    const Tensors saved = context.saved();
    EXPECT_FALSE(saved[1].defined());
    EXPECT_TRUE(context.needs_gradient(0));
    EXPECT_FALSE(context.needs_gradient(1));
    EXPECT_FALSE(context.needs_gradient(2));
    EXPECT_TRUE(context.needs_gradient(3));
    EXPECT_TRUE(gradients[1].eq(0).all().item<bool>());  // nothing was computed from it
    return Tensors{gradients[0] * saved[2], Tensor(), Tensor(), gradients[0]};
  };
  const Tensor noise = numbers();
  const Tensors y = apply(forward, backward, {a, Tensor(), b, c});
  ASSERT_EQ(y.size(), 2);
  EXPECT_TRUE(y[0].equal(a * b + c));
  (y[0] * noise).sum().backward();
  EXPECT_TRUE(a.grad().equal(noise * b));
  EXPECT_FALSE(b.grad().defined());
  EXPECT_TRUE(c.grad().equal(noise));
}

TEST(GradientFunction, TellsWhichGradientsAreWanted) {
  const Tensor a = numbers().requires_grad_(), b = numbers();
  bool first = true;
  const auto forward = [](ForwardContext&, const Tensors& inputs) { return Tensors{inputs[1] + inputs[2]}; };
  const auto backward = [&](const BackwardContext& context, const Tensors& gradients) {
    EXPECT_FALSE(context.needs_gradient(0));
    EXPECT_EQ(context.needs_gradient(1), first);
    EXPECT_EQ(context.needs_gradient(2), !first);
    return Tensors{Tensor(), first ? gradients[0] : Tensor(), first ? Tensor() : gradients[0]};
  };
  apply(forward, backward, {Tensor(), a, b})[0].sum().backward();
  first = false;
  apply(forward, backward, {Tensor(), b, a})[0].sum().backward();
  EXPECT_TRUE(a.grad().eq(2).all().item<bool>());
}

TEST(GradientFunction, TakesSavedOutputs) {
  const Tensor x = numbers().requires_grad_();
  std::weak_ptr<torch::autograd::Node> node;
  {
    const Tensor y = exponential(x);
    node = y.grad_fn();
    y.sum().backward();
    EXPECT_TRUE(x.grad().equal(x.exp()));
  }
  EXPECT_TRUE(node.expired());
  // A graph that no backward pass has passed frees itself, too.
  node = exponential(x).grad_fn();
  EXPECT_TRUE(node.expired());
}

TEST(GradientFunction, ReleasesWhatIsSavedAfterTheBackwardPass) {
  const Tensor x = numbers().requires_grad_();
  c10::weak_intrusive_ptr<c10::TensorImpl> saved(x.getIntrusivePtr());
  const auto forward = [&](ForwardContext& context, const Tensors& inputs) {
    const Tensor factor = at::full_like(inputs[0], 3);
    saved = c10::weak_intrusive_ptr<c10::TensorImpl>(factor.getIntrusivePtr());
    context.save({factor});
    return Tensors{inputs[0] * factor};
  };
  const auto backward = [](const BackwardContext& context, const Tensors& gradients) {
    return Tensors{gradients[0] * context.saved()[0]};
  };
  const Tensor y = apply(forward, backward, {x}).front(), sum = y.sum();
  EXPECT_FALSE(saved.expired());
  sum.backward({}, /*retain_graph=*/true);
  EXPECT_FALSE(saved.expired());
  sum.backward();
  EXPECT_TRUE(saved.expired());
  EXPECT_TRUE(x.grad().eq(6).all().item<bool>());
  EXPECT_THROW(y.sum().backward(), c10::Error);
}

TEST(GradientFunction, NoticesChangesInPlace) {
  const Tensor x = numbers().requires_grad_();
  const Tensor y = exponential(x), sum = y.sum();
  y.detach().mul_(2);
  EXPECT_THROW(sum.backward(), c10::Error);
}

TEST(GradientFunction, LeavesGradientsUndefined) {
  const Tensor x = numbers().requires_grad_();
  const auto forward = [](ForwardContext& context, const Tensors& inputs) {
    const Tensor largest = inputs[0].amax(), other = inputs[0] * 2;
    context.mark_non_differentiable({largest});
    context.leave_missing_gradients_undefined();
    return Tensors{inputs[0] * 3, other, largest};
  };
  const auto backward = [](const BackwardContext&, const Tensors& gradients) {
    EXPECT_EQ(gradients.size(), 3);
    EXPECT_FALSE(gradients[1].defined());
    EXPECT_FALSE(gradients[2].defined());
    return Tensors{gradients[0] * 3};
  };
  const Tensors y = apply(forward, backward, {x});
  EXPECT_TRUE(y[1].requires_grad());
  EXPECT_FALSE(y[2].requires_grad());
  y[0].sum().backward();
  EXPECT_TRUE(x.grad().eq(3).all().item<bool>());
}

TEST(GradientFunction, RecordsNothingWithoutGradients) {
  const Tensor x = numbers().requires_grad_();
  c10::weak_intrusive_ptr<c10::TensorImpl> saved(x.getIntrusivePtr());
  const auto forward = [&](ForwardContext& context, const Tensors& inputs) {
    const Tensor kept = inputs[0].exp();
    saved = c10::weak_intrusive_ptr<c10::TensorImpl>(kept.getIntrusivePtr());
    context.save({kept});
    return Tensors{inputs[0] * 2};
  };
  const auto expect_nothing = [&](const Tensor& input) {
    const Tensor y = apply(forward, no_gradients, {input}).front();
    EXPECT_TRUE(y.equal(input * 2));
    EXPECT_FALSE(y.requires_grad());
    EXPECT_TRUE(saved.expired());
  };
  expect_nothing(x.detach());
  {
    const at::NoGradGuard guard;
    expect_nothing(x);
  }
  const c10::InferenceMode guard;
  expect_nothing(x);
}

TEST(GradientFunction, RejectsGradientsOfNoInput) {
  const Tensor x = numbers().requires_grad_();
  const auto forward = [](ForwardContext&, const Tensors& inputs) { return Tensors{inputs[0] * 2}; };
  EXPECT_NO_THROW(apply(forward, no_gradients, {x})[0].sum().backward());
  EXPECT_THROW(apply(forward, no_gradients, {x, Tensor()})[0].sum().backward(), Error);
  const auto twice = [](const BackwardContext&, const Tensors& gradients) {
    return Tensors{gradients[0], gradients[0]};
  };
  EXPECT_THROW(apply(forward, twice, {x, Tensor()})[0].sum().backward(), Error);
}

}  // namespace
}  // namespace omni::kernels
