// Tokens per second of training and decoding a tiny transformer, and where the time of a step goes.
// peers/train_step.py does the same in PyTorch; tools/bench.sh runs both and prints the ratio.
//   train_step [width] [blocks] [heads] [tokens per step] [steps] [bf16|fp32]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "documents.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/model/decode_session.h"
#include "omni/model/training_cost.h"
#include "omni/model/transformer.h"
#include "omni/nn/precision.h"
#include "omni/optimizer/adamw.h"

namespace {

using namespace omni;
using namespace omni::benchmarks;

// Processor time where the machine is shared (OMNI_BENCHMARK_CPU_TIME set, one thread), else the clock.
double seconds() {
  if (std::getenv("OMNI_BENCHMARK_CPU_TIME")) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Parts {
  double forward = 0, backward = 0, optimizer = 0;
  double sum() const { return forward + backward + optimizer; }
};

// The mean of `steps` steps after two that do not count, and the best one's sum.
std::pair<Parts, double> train(model::Transformer& transformer, optimizer::AdamW& optimizer,
                               const sequence::PackedSequence& packed, long steps) {
  Parts mean;
  double best = 1e9;
  const auto share = 1 / static_cast<double>(steps);
  for (long step = -2; step < steps; ++step) {
    const double t0 = seconds();
    const model::TransformerLoss loss = transformer.loss(packed);
    const double t1 = seconds();
    (loss.objective.sum() / 1000.0).backward();
    const double t2 = seconds();
    optimizer::clip_gradients(transformer.parameters(), 1.0);
    optimizer.step(1e-3);
    optimizer.zero_gradients();
    const double t3 = seconds();
    if (step < 0) continue;
    mean.forward += (t1 - t0) * share;
    mean.backward += (t2 - t1) * share;
    mean.optimizer += (t3 - t2) * share;
    best = std::min(best, t3 - t0);
  }
  return {mean, best};
}

// Time inside each operation, without the operations that it calls.
class OperationProfile {
 public:
  OperationProfile() {
    current() = this;
    handle_ =
        at::addGlobalCallback(at::RecordFunctionCallback(&OperationProfile::begin, &OperationProfile::end));
  }
  ~OperationProfile() { at::removeCallback(handle_); }
  void print(const char* title, std::size_t count, double steps) const {
    std::vector<std::pair<double, std::string>> order;
    for (const auto& [name, time] : times_) order.emplace_back(time, name);
    std::sort(order.rbegin(), order.rend());
    std::printf("largest costs of %s:\n", title);
    for (std::size_t i = 0; i < std::min(count, order.size()); ++i)
      std::printf("  %7.2f ms  %s\n", order[i].first / steps * 1e3, order[i].second.c_str());
  }

 private:
  struct Frame : at::ObserverContext {
    double start = 0, children = 0;
    Frame* parent = nullptr;
  };
  static OperationProfile*& current() {
    static OperationProfile* profile = nullptr;
    return profile;
  }
  static Frame*& top() {
    static thread_local Frame* frame = nullptr;
    return frame;
  }
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction&) {
    auto frame = std::make_unique<Frame>();
    frame->parent = top();
    frame->start = seconds();
    top() = frame.get();
    return frame;
  }
  static void end(const at::RecordFunction& function, at::ObserverContext* context) {
    auto* frame = static_cast<Frame*>(context);
    const double took = seconds() - frame->start;
    current()->times_[function.name()] += took - frame->children;
    top() = frame->parent;
    if (frame->parent) frame->parent->children += took;
  }
  at::CallbackHandle handle_{};
  std::map<std::string, double> times_;
};

// Returns the number of steps.
std::size_t decode(const model::Transformer& transformer, const sequence::Vocabulary& vocabulary) {
  constexpr std::int64_t kSequences = 64;
  CounterRng rng(9);
  std::vector<sequence::Document> documents;
  std::vector<sequence::GrammarWalker> walkers;
  std::vector<std::vector<std::int32_t>> tokens;
  for (std::int64_t s = 0; s < kSequences; ++s) {
    documents.push_back(caption_to_shape(rng));
    walkers.emplace_back(vocabulary, transformer.layout(), sequence::plan_of(documents.back()));
    tokens.push_back(sequence::document_tokens(documents.back(), vocabulary, transformer.layout()));
  }
  model::DecodeSession session(transformer, kSequences, 256);
  const double start = seconds();
  std::size_t steps = 0;
  for (std::size_t done = 0; done < 145; ++steps) {
    std::vector<std::vector<model::DecodeToken>> next(kSequences);
    std::vector<std::int64_t> which;
    std::vector<sequence::AllowedTokens> allowed;
    const std::size_t count = done == 0 ? 28 : 1;
    for (std::int64_t s = 0; s < kSequences; ++s) {
      for (std::size_t i = done; i < done + count && i < tokens[s].size(); ++i) {
        model::DecodeToken token{tokens[s][i], walkers[s].place(), std::nullopt};
        walkers[s].advance(token.token);
        if (!walkers[s].finished()) token.next_place = walkers[s].place();
        next[s].push_back(token);
      }
      if (walkers[s].finished()) continue;
      which.push_back(s);
      allowed.push_back(walkers[s].allowed());
    }
    session.append(next);
    session.logits(which, allowed);
    done += count;
  }
  const double took = seconds() - start;
  std::printf("decode: %lld sequences x %zu steps in %.2f s (%.0f steps/s)\n",
              static_cast<long long>(kSequences), steps, took, static_cast<double>(steps) / took);
  return steps;
}

}  // namespace

int main(int argc, char** argv) {
  kernels::keep_freed_memory();
  const auto argument = [&](int i, long fallback) { return argc > i ? std::atol(argv[i]) : fallback; };
  model::TransformerConfig config;
  config.width = argument(1, 192);
  config.single_blocks = argument(2, 6);
  config.heads = argument(3, 6);
  const long step_tokens = argument(4, 8192), steps = argument(5, 10);
  const std::string precision = argc > 6 ? argv[6] : "bf16";
  const sequence::Vocabulary vocabulary = benchmarks::vocabulary();
  model::Transformer transformer(config, vocabulary, layout(), 1);
  transformer.set_activation_type(nn::precision_type(precision));
  optimizer::AdamW optimizer(transformer.parameters(), {});
  CounterRng rng(3);
  sequence::PackedSequence packed;
  while (packed.length() < step_tokens)
    sequence::append_document(packed, caption_to_shape(rng), vocabulary, layout());
  std::printf("%s, %lld parameters, %lld documents, %lld tokens a step, %d threads\n", precision.c_str(),
              static_cast<long long>(transformer.parameters().element_count()),
              static_cast<long long>(packed.document_count()), static_cast<long long>(packed.length()),
              at::get_num_threads());
  const auto tokens = static_cast<double>(packed.length());
  const double flops = model::training_flops(transformer, packed).total();
  const auto [mean, best] = train(transformer, optimizer, packed, steps);
  std::printf(
      "train: %.0f tokens/s (best step %.0f), %.0f ms a step: forward %.0f, backward %.0f, optimizer %.0f; "
      "%.0f GFLOP/s\n",
      tokens / mean.sum(), tokens / best, mean.sum() * 1e3, mean.forward * 1e3, mean.backward * 1e3,
      mean.optimizer * 1e3, flops / mean.sum() / 1e9);
  transformer.set_attention_path(kernels::AttentionPath::library);
  const double library = train(transformer, optimizer, packed, steps).first.sum();
  transformer.set_attention_path(kernels::AttentionPath::automatic);
  std::printf(
      "train with LibTorch's attention, document by document: %.0f tokens/s; the kernels give %.2f times\n",
      tokens / library, library / mean.sum());
  {
    const OperationProfile profile;
    for (int step = 0; step < 2; ++step) {
      transformer.loss(packed).objective.sum().backward();
      optimizer.zero_gradients();
    }
    profile.print("a training step", 8, 2);
  }
  decode(transformer, vocabulary);
  const OperationProfile profile;
  const std::size_t decoded = decode(transformer, vocabulary);
  profile.print("a decode step", 8, static_cast<double>(decoded));
}
