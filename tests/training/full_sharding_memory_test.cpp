// What full sharding leaves of a rank's memory, counted at LibTorch's allocator.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <barrier>
#include <cstring>
#include <thread>

#include "accumulation.h"
#include "caption_world.h"
#include "dry_run.h"
#include "full_sharding.h"
#include "gradient_reduction.h"
#include "omni/kernels/tensor_memory.h"
#include "omni/nn/precision.h"
#include "stage_data.h"
#include "stage_optimizer.h"
#include "stage_start.h"

namespace omni::training {
namespace {

constexpr int kRanks = 4;

// Ranks that are threads and read each other's tensors where they lie: nothing is allocated for the exchange.
class DirectCollectives final : public distributed::Collectives {
 public:
  struct Meeting {
    std::barrier<> barrier{kRanks};
    std::array<at::Tensor, kRanks> tensors;
  };
  DirectCollectives(Meeting& meeting, int rank) : Collectives(rank, kRanks), meeting_(&meeting) {}
  void abort(const distributed::CollectiveError& /*reason*/) override {}

 private:
  using Pending = distributed::Pending;
  using Reduction = distributed::Reduction;

  template <class Work>
  Pending meet(const at::Tensor& own, const Work& work) {
    const at::NoGradGuard no_grad;
    meeting_->tensors[static_cast<std::size_t>(rank())] = own;
    meeting_->barrier.arrive_and_wait();
    work(meeting_->tensors);
    meeting_->barrier.arrive_and_wait();
    return {};
  }
  // The sum of one range of all.
  static void add_up(const std::array<at::Tensor, kRanks>& all, std::int64_t first, std::int64_t count,
                     float* sums) {
    for (std::int64_t i = 0; i < count; ++i) {
      float sum = all[0].const_data_ptr<float>()[first + i];
      for (int r = 1; r < kRanks; ++r) sum += all[r].const_data_ptr<float>()[first + i];
      sums[i] = sum;
    }
  }
  Pending start_all_reduce(const at::Tensor& values, Reduction /*reduction*/) override {
    at::Tensor sum;
    meet(values, [&](const auto& all) {
      sum = all[0].clone();
      for (int r = 1; r < kRanks; ++r) sum += all[r];
    });
    values.copy_(sum);
    meeting_->barrier.arrive_and_wait();
    return {};
  }
  Pending start_reduce_scatter(const at::Tensor& whole, const at::Tensor& part,
                               Reduction /*reduction*/) override {
    return meet(whole, [&](const auto& all) {
      add_up(all, rank() * part.numel(), part.numel(), part.mutable_data_ptr<float>());
    });
  }
  Pending start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    return meet(part, [&](const auto& all) {
      for (int r = 0; r < kRanks; ++r)
        if (r != rank()) whole.narrow(0, r * part.numel(), part.numel()).copy_(all[r]);
    });
  }
  Pending start_broadcast(const at::Tensor& values, int root) override {
    return meet(values, [&](const auto& all) {
      if (rank() != root) values.copy_(all[static_cast<std::size_t>(root)]);
    });
  }
  Pending start_barrier() override {
    return meet({}, [](const auto&) {});
  }

  Meeting* meeting_;
};

class FullShardingMemory : public CaptionWorld {
 protected:
  // Blocks of an equal size beside a small root, and few tokens, so that activations are next to nothing.
  StageConfig config_of(const char* precision, const char* sharding) const {
    StageConfig c = config("unused");
    c.model.width = 128;
    c.model.single_blocks = 24;
    c.tokens_per_step = kRanks * c.tokens_per_micro_batch;
    c.precision = precision;
    c.sharding = sharding;
    c.recompute = true;
    return c;
  }

  // The most that rank 0 to 3 hold at once, from the first weight to the end of the second step.
  static std::int64_t peak_bytes(const StageConfig& c) {
    DirectCollectives::Meeting meeting;
    std::array<std::int64_t, kRanks> peaks{};
    std::vector<std::thread> threads;
    for (int rank = 0; rank < kRanks; ++rank)
      threads.emplace_back([&, rank] {
        at::set_num_threads(1);
        DirectCollectives collectives(meeting, rank);
        const kernels::TensorMemory memory;
        train(c, collectives);
        peaks[static_cast<std::size_t>(rank)] = memory.peak_bytes();
      });
    for (std::thread& thread : threads) thread.join();
    return *std::max_element(peaks.begin(), peaks.end());
  }

  static void train(const StageConfig& c, distributed::Collectives& collectives) {
    const model::Bundle bundle = start_bundle(c);
    model::Transformer& transformer = *bundle.transformer;
    const StageData data(c, bundle, DocumentForm::of(c, bundle), collectives.rank(), kRanks);
    transformer.set_activation_type(nn::precision_type(c.precision));
    transformer.set_recompute(recomputation_of(c, kRanks));
    StageOptimizer optimizer(transformer.parameters(), c.adamw, c.muon, nn::precision_type(c.precision),
                             collectives, sharding_of(c, kRanks));
    FullSharding sharding(transformer.parameters(), collectives);
    if (sharding.is_at_work()) transformer.set_executor(sharding.executor());
    GradientReduction reduction(transformer.parameters(), collectives);
    sequence::PackedSequence sequence = data.step(0).front();
    sequence.document_tasks.clear();  // whose losses nobody asks for
    const std::vector<model::PreparedBatch> batches = [&] {
      std::vector<model::PreparedBatch> made;
      made.push_back(transformer.prepare(sequence));
      return made;
    }();
    StepShare share;
    share.step_weights.fill(1);
    share.before_last = [&] { reduction.begin_last_backward(); };
    for (int step = 0; step < 2; ++step) {
      sharding.begin(1, FullSharding::Passes::forward_and_backward);
      accumulate_gradients(transformer, batches, {}, share);
      sharding.finish();
      reduction.finish();
      optimizer.step(1e-3, 1);
      optimizer.zero_gradients();
    }
    transformer.set_executor(nn::make_plain_executor());
  }

  struct Shares {
    double root = 0, block = 0;  // of all elements; of the largest block
  };
  static Shares shares(const StageConfig& c) {
    const model::Bundle bundle = estimated_bundle(c);
    const nn::ParameterStore& store = bundle.transformer->parameters();
    std::map<std::size_t, double> units;
    for (const nn::Parameter& parameter : store.all())
      units[parameter.unit] += static_cast<double>(parameter.value.numel());
    const auto all = static_cast<double>(store.element_count());
    Shares result{.root = units[0] / all};
    for (const auto& [unit, elements] : units)
      if (unit != 0) result.block = std::max(result.block, elements / all);
    return result;
  }
};

// With values of v bytes in the products' type and N ranks, of a model with the shares r of the root and b of its largest
// block, per element. Plain: v and 4 of gradients, 8 of moments, and where v < 4 the fp32 weights. Full: of the root v
// and 4 and an N-th of the rest; an N-th of the blocks' fp32 weights, gradients and moments; and the values and gradients of
// two blocks while they are whole.
TEST_F(FullShardingMemory, LeavesAboutAThirdOnFourRanks) {
  for (const char* precision : {"fp32", "bf16"}) {
    const StageConfig plain = config_of(precision, "none"), full = config_of(precision, "full");
    const Shares share = shares(plain);
    EXPECT_LT(share.root, 0.05);
    EXPECT_LT(share.block, 0.05);
    const double v = plain.precision == "bf16" ? 2 : 4, masters = v < 4 ? 4 : 0, n = kRanks;
    const double of_plain = v + 4 + masters + 8;
    const double of_full = share.root * (v + 4 + (masters + 8) / n) + (1 - share.root) * (4 + 4 + 8) / n +
                           2 * share.block * (v + 4);
    const auto measured = static_cast<double>(peak_bytes(full)),
               whole = static_cast<double>(peak_bytes(plain)),
               optimizer = static_cast<double>(peak_bytes(config_of(precision, "optimizer")));
    const double expected = expected_memory(full, estimated_bundle(full), kRanks).sum(),
                 expected_whole = expected_memory(plain, estimated_bundle(plain), kRanks).sum();
    std::printf(
        "%s, %d ranks, root %.3f, largest block %.3f of the elements: full / plain = %.3f\n"
        "  formula [r (v + 4 + (m + 8) / N) + (1 - r) 16 / N + 2 b (v + 4)] / (v + 4 + m + 8) = %.3f\n"
        "  dry run: %.2f MB / %.2f MB; counted with activations: full %.2f MB, optimizer %.2f MB, none %.2f MB\n",
        precision, kRanks, share.root, share.block, measured / whole, of_full / of_plain, expected / 1e6,
        expected_whole / 1e6, measured / 1e6, optimizer / 1e6, whole / 1e6);
    // Blocks are recomputed in both runs, so that their activations are the same.
    const double activations = whole - expected_whole;
    EXPECT_LT(activations, 0.1 * whole);
    EXPECT_LE(measured, 0.35 * whole) << "activations and all";
    EXPECT_LE(measured - activations, 0.35 * expected_whole);
    EXPECT_NEAR(expected / expected_whole, of_full / of_plain, 0.02);
    EXPECT_NEAR((measured - activations) / expected, 1, 0.05);
    EXPECT_LT(measured, optimizer);
  }
}

}  // namespace
}  // namespace omni::training
