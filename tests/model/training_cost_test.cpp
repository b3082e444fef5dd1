#include "omni/model/training_cost.h"

#include <gtest/gtest.h>
#include <torch/library.h>

#include "omni/kernels/tensor_memory.h"
#include "small_world.h"

namespace omni::model {
namespace {

// Counts the operations of the matmuls that run while it lives, those of attention, which are
// batched, apart. One at a time.
class ProductCount {
 public:
  ProductCount()
      : others_(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__),
        products_(torch::Library::IMPL, "aten", kKey, __FILE__, __LINE__) {
    others_.fallback(torch::CppFunction::makeFallthrough());
    products_.impl("mm", &ProductCount::mm);
    products_.impl("addmm", &ProductCount::addmm);
    products_.impl("mm.out", &ProductCount::mm_out);
    products_.impl("addmm_", &ProductCount::addmm_);
    operations() = 0;
  }
  double flops() const { return operations(); }

 private:
  static constexpr auto kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;

  static double& operations() {
    static double count = 0;
    return count;
  }
  static void add(const at::Tensor& a, const at::Tensor& b) {
    operations() += 2.0 * static_cast<double>(a.size(0) * a.size(1) * b.size(1));
  }
  static at::Tensor mm(const at::Tensor& a, const at::Tensor& b) {
    add(a, b);
    const c10::impl::ExcludeDispatchKeyGuard below(kKey);
    return at::mm(a, b);
  }
  static at::Tensor addmm(const at::Tensor& bias, const at::Tensor& a, const at::Tensor& b,
                          const at::Scalar& beta, const at::Scalar& alpha) {
    add(a, b);
    const c10::impl::ExcludeDispatchKeyGuard below(kKey);
    return at::addmm(bias, a, b, beta, alpha);
  }
  static at::Tensor& mm_out(const at::Tensor& a, const at::Tensor& b, at::Tensor& out) {
    add(a, b);
    const c10::impl::ExcludeDispatchKeyGuard below(kKey);
    return at::mm_out(out, a, b);
  }
  static at::Tensor& addmm_(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta,
                            const at::Scalar& alpha) {
    add(a, b);
    const c10::impl::ExcludeDispatchKeyGuard below(kKey);
    return sum.addmm_(a, b, beta, alpha);
  }
  torch::Library others_, products_;
  c10::impl::IncludeDispatchKeyGuard counted_{kKey};
};

// The same document many times over: as many rows of each kind as the padding wants, so that nothing is
// padded.
sequence::PackedSequence repeated_document(const sequence::Vocabulary& vocabulary, bool text_loss) {
  return packed(std::vector<sequence::Document>(128, random_document(2, text_loss)), vocabulary);
}

TransformerConfig wide_heads(TransformerConfig config) {
  config.head_size = 32;
  config.key_value_heads = 2;
  return config;
}

struct Case {
  std::string name;
  TransformerConfig config;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

class TrainingCost : public testing::TestWithParam<Case> {
 protected:
  TrainingCost()
      : vocabulary_(small_vocabulary()),
        text_loss_(GetParam().config.single_over == "all"),
        sequence_(repeated_document(vocabulary_, text_loss_)),
        transformer_(GetParam().config, vocabulary_, small_layout(), 5, small_codebooks()),
        batch_(transformer_.prepare(sequence_)) {}
  double measured_peak() const {
    const kernels::TensorMemory memory;
    transformer_.loss(batch_).objective.sum().backward();
    return static_cast<double>(memory.peak_bytes());
  }
  sequence::Vocabulary vocabulary_;
  bool text_loss_;
  sequence::PackedSequence sequence_;
  Transformer transformer_;
  PreparedBatch batch_;
};
INSTANTIATE_TEST_SUITE_P(Configs, TrainingCost,
                         testing::Values(Case{"one", small_config()},
                                         Case{"one_wide_heads", wide_heads(small_config())},
                                         Case{"two_all", two_stream_config("all")},
                                         Case{"two_generated", two_stream_config("generated")}),
                         [](const auto& info) { return info.param.name; });

TEST_P(TrainingCost, FlopsAreThoseOfTheProducts) {
  const TrainingFlops flops = training_flops(transformer_, sequence_);
  const ProductCount count;
  const at::Tensor objective = transformer_.loss(batch_).objective.sum();
  EXPECT_EQ(flops.forward - flops.attention / 3, count.flops());
  objective.backward();
  EXPECT_EQ(flops.blocks + flops.vocabulary, count.flops());

  // Attention pair by pair.
  const TransformerConfig& config = GetParam().config;
  double all = 0, generated = 0;
  for (std::int64_t d = 0; d < sequence_.document_count(); ++d)
    for (std::int64_t i = sequence_.document_starts[d]; i < sequence_.document_starts[d + 1]; ++i)
      for (std::int64_t j = sequence_.document_starts[d]; j <= i; ++j) {
        const bool text = sequence_.streams[i] == sequence::Modality::text ||
                          sequence_.streams[j] == sequence::Modality::text;
        ++all;
        generated += !text;
      }
  const double head_size = config.head_size > 0 ? 32 : 16;
  const double single = config.single_over == "generated" ? generated : all;
  const double pairs =
      static_cast<double>(config.dual_blocks) * all + static_cast<double>(config.single_blocks) * single;
  EXPECT_EQ(flops.attention, 12 * 4 * head_size * pairs);
}

TEST_P(TrainingCost, ActivationMemoryIsWhatIsMeasured) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    transformer_.set_activation_type(type);
    transformer_.loss(batch_).objective.sum().backward();  // makes the gradients and the cast weights
    for (const bool recompute : {false, true}) {
      transformer_.set_recompute(recompute);
      const double estimate = activation_bytes(transformer_, sequence_, recompute);
      EXPECT_NEAR(estimate / measured_peak(), 1, 0.2) << type << (recompute ? " recomputed" : "");
    }
  }
}

}  // namespace
}  // namespace omni::model
