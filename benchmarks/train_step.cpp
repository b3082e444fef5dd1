// Tokens per second of training a transformer, and where the time of a step goes. peers/train_step.py does
// the same in PyTorch; tools/bench.sh and tools/gpu-report.sh run both.
//   train_step [--shape tiny|100m|200m|1b] [--tokens N] [--steps N] [--precision bf16|fp32] [--recompute]
//              [--fused NAME,...] [--graphs] [--library] [--peak TFLOPS] [--write FOLDER | --check FOLDER]
//     --tokens   in a step (default: the shape's)
//     --fused    on a GPU, by these kernels in place of the library's calls: see kernels::FusedKernels
//     --graphs   on a GPU, the passes of batches of one shape replayed as a graph, and on the same batches not
//     --library  also with LibTorch's attention, document by document, and the largest costs
//     --peak     the device's most operations per second, for the share of them that training uses (MFU)
//     --write    writes the documents of a step for peers/train_step.py to train on, and stops
//     --check    writes the start weights, the documents of 20 steps and their losses, and stops:
//                peers/train_step.py --check FOLDER finds whether its losses are the same
// MFU = tokens/s x operations per token / peak; see model::training_flops.
//
// Against PyTorch 2.11 with the same loss, two threads on two idle EPYC cores, two runs: tiny in bf16 32,900
// and 34,100 tokens/s, 3.8 and 3.9 times eager (8,660, 8,700) and 3.3 and 3.5 times compiled (9,880, 9,850); in
// fp32 10,100, 1.5 times both (6,470, 6,570). 100m in bf16, 4,096 tokens a step: 1,290, 1.9 times eager (660).
// Products at 0.95 of the processor's peak are two thirds of a bf16 step.
//
// The ladder of the bf16 step, tiny, one thread, milliseconds of processor time (the least of several runs by
// turns):
//   468  the library's products
//   444  weight gradients by own tiles, summed in fp32; the other products by the same tiles, which are as fast
//   440  heads' rows in registers between memory and the attention
//   429  gate, up, SwiGLU and down for 64 rows at a time, through the second cache (100m: 3,810 to 3,510)
// What did not help: hidden rows and gradients of the gates laid out for the weight gradients while they are in
// the cache (3 slower: their panels then come from memory one by one); huge pages; SwiGLU and norms with the
// processor's own rounding to bf16; asking for the attention's rows and the gates further ahead. Competing
// tokens in place, not gathered, and gradients added where they stay leave a step without codebooks as long
// as it was.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "documents.h"
#include "graph_passes.h"
#include "kernels/timing.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/kernels/peak_memory.h"
#include "omni/kernels/tensor.h"
#include "omni/model/training_cost.h"
#include "omni/optimizer/groups.h"
#include "operation_profile.h"
#include "shapes.h"
#include "twin_files.h"

namespace {

using namespace omni;
using namespace omni::benchmarks;

struct Options {
  Shape shape = kShapes[0];
  std::int64_t tokens = 0, steps = 10;
  bool bf16 = true, recompute = false, library = false, graphs = false;
  double peak_tflops = 0;
  std::string fused = "none";  // names of kernels, with commas between them
  std::filesystem::path write, check;
};

Options read_options(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--recompute" || name == "--library" || name == "--graphs") {
      (name == "--library"  ? options.library
       : name == "--graphs" ? options.graphs
                            : options.recompute) = true;
      continue;
    }
    const std::string value = i + 1 < count ? arguments[++i] : "";
    if (name == "--shape")
      options.shape = shape_of(value);
    else if (name == "--tokens")
      options.tokens = std::atoll(value.c_str());
    else if (name == "--steps")
      options.steps = std::atoll(value.c_str());
    else if (name == "--precision")
      options.bf16 = value == "bf16";
    else if (name == "--write" || name == "--check")
      (name == "--write" ? options.write : options.check) = value;
    else if (name == "--fused")
      options.fused = value;
    else if (name == "--peak")
      options.peak_tflops = std::atof(value.c_str());
    else {
      std::fprintf(stderr, "train_step: unknown argument '%s'\n", name.c_str());
      std::exit(2);
    }
  }
  if (options.tokens <= 0) options.tokens = options.shape.step_tokens;
  return options;
}

kernels::FusedKernels fused_kernels(const Options& options) {
  if (options.fused == "none") return {};
  std::vector<std::string> names;
  std::istringstream words(options.fused);
  for (std::string name; std::getline(words, name, ',');) names.push_back(name);
  return kernels::FusedKernels(names);
}

// Processor time where the machine is shared (OMNI_BENCHMARK_CPU_TIME set, one thread), else the clock.
double seconds() {
  if (std::getenv("OMNI_BENCHMARK_CPU_TIME")) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return benchmark::seconds();
}

// Of a step, in seconds.
struct Parts {
  double data = 0, forward = 0, backward = 0, optimizer = 0;
};

class Trainer {
 public:
  explicit Trainer(const Options& options)
      : options_(options),
        vocabulary_(benchmarks::vocabulary()),
        layout_(benchmarks::layout(options.shape.geometry)),
        transformer_(options.shape.config(), vocabulary_, layout_, 1),
        rng_(3) {
    transformer_.to(benchmark::device());
    transformer_.set_activation_type(options.bf16 ? at::kBFloat16 : at::kFloat);
    transformer_.set_recompute(options.recompute);
    const kernels::FusedKernels fused = fused_kernels(options);
    transformer_.set_fused_kernels(fused);
    optimizer::seal_for(transformer_.parameters(), {}, {}, {.matrix_type = transformer_.activation_type()});
    optimizer_ = std::make_unique<optimizer::AdamW>(transformer_.parameters(), optimizer::AdamWConfig{});
    optimizer_->set_kernel_path(fused.path(kernels::FusedKernel::adamw));
  }
  model::Transformer& transformer() { return transformer_; }

  sequence::PackedSequence packed() {
    return packed_documents(rng_, options_.tokens, options_.shape.geometry, vocabulary_, layout_);
  }

  // With `parts` the device is waited for after each of them. -> the loss
  at::Tensor step(Parts* parts) {
    const double start = seconds();
    const sequence::PackedSequence sequence = packed();
    if (parts) parts->data += seconds() - start;
    return step(sequence, parts);
  }
  at::Tensor step(const sequence::PackedSequence& sequence, Parts* parts) {
    double last = seconds();
    const auto lap = [&](double Parts::*part) {
      if (!parts) return;
      benchmark::synchronise();
      const double now = seconds();
      parts->*part += now - last;
      last = now;
    };
    const model::PreparedBatch batch = transformer_.prepare(sequence);
    tokens_ += batch.counts().tokens;
    lap(&Parts::data);
    const at::Tensor objective =
        transformer_.loss(batch, {.modality_weights = {1e-3, 1e-3, 1e-3}}).objective.sum();
    lap(&Parts::forward);
    objective.backward();
    lap(&Parts::backward);
    update();
    lap(&Parts::optimizer);
    return objective.detach();
  }

  void update() {
    optimizer_->step(1e-3, optimizer::measure_gradients(transformer_.parameters(), 1.0));
    transformer_.parameters().zero_gradients();
  }

  struct Rate {
    double step_seconds = 0, tokens_per_s = 0;
  };
  // Over `steps` steps, after two that do not count.
  Rate run(Parts* parts) {
    for (int i = 0; i < 2; ++i) step(nullptr);
    benchmark::synchronise();
    tokens_ = 0;
    const double start = seconds();
    for (std::int64_t i = 0; i < options_.steps; ++i) step(parts);
    benchmark::synchronise();
    const double took = seconds() - start, tokens = static_cast<double>(tokens_);
    return {took / static_cast<double>(options_.steps), tokens / took};
  }

  void write_documents(const std::filesystem::path& path, const sequence::PackedSequence& sequence) const {
    write_twin_batch(path, sequence, sequence::SegmentParts(vocabulary_, layout_));
  }
  void write_check(const std::filesystem::path& folder) {
    transformer_.parameters().save(folder / "weights.safetensors");
    std::vector<at::Tensor> losses;
    for (int i = 0; i < 20; ++i) {
      const sequence::PackedSequence sequence = packed();
      write_documents(folder / ("documents-" + std::to_string(i) + ".safetensors"), sequence);
      losses.push_back(step(sequence, nullptr));
    }
    nn::write_tensors(folder / "losses.safetensors", {{"losses", at::stack(losses)}});
  }

  // Floating-point operations of a step, for each of its tokens.
  double flops_per_token() {
    const sequence::PackedSequence own = packed();
    return model::training_flops(transformer_, own).total() / static_cast<double>(own.length());
  }

 private:
  const Options& options_;
  sequence::Vocabulary vocabulary_;
  sequence::SequenceLayout layout_;
  model::Transformer transformer_;
  std::unique_ptr<optimizer::AdamW> optimizer_;
  CounterRng rng_;
  std::int64_t tokens_ = 0;
};

void measure(Trainer& trainer, const Options& options) {
  const Trainer::Rate rate = trainer.run(nullptr);
  Parts parts;
  trainer.run(&parts);
  const double milliseconds = 1e3 / static_cast<double>(options.steps);
  const double tflops = 1e-12 * rate.tokens_per_s * trainer.flops_per_token();
  benchmark::Line line("train_step");
  line.add("shape", std::string(options.shape.name))
      .add("program",
           options.fused == "none" || !benchmark::device().is_cuda() ? "omni" : "omni+" + options.fused)
      .add("precision", std::string(options.bf16 ? "bf16" : "fp32"))
      .add("recompute", std::string(options.recompute ? "yes" : "no"))
      .add("parameters_million",
           1e-6 * static_cast<double>(trainer.transformer().parameters().element_count()))
      .add("step_tokens", options.tokens)
      .add("tokens_per_s", rate.tokens_per_s)
      .add("step_ms", 1e3 * rate.step_seconds)
      .add("data_ms", milliseconds * parts.data)
      .add("forward_ms", milliseconds * parts.forward)
      .add("backward_ms", milliseconds * parts.backward)
      .add("optimizer_ms", milliseconds * parts.optimizer)
      .add("tflops", tflops)
      .add("peak_gb", kernels::peak_gigabytes(benchmark::device()));
  if (options.peak_tflops > 0) line.add("mfu", tflops / options.peak_tflops);
  line.print();
}

void compare_with_library(Trainer& trainer) {
  const double own = trainer.run(nullptr).tokens_per_s;
  trainer.transformer().set_attention_path(kernels::AttentionPath::library);
  const double library = trainer.run(nullptr).tokens_per_s;
  trainer.transformer().set_attention_path(kernels::AttentionPath::automatic);
  benchmark::Line("train_step_attention")
      .add("tokens_per_s", own)
      .add("library_tokens_per_s", library)
      .add("ratio", own / library)
      .print();
  const OperationProfile profile;
  for (int step = 0; step < 2; ++step) trainer.step(nullptr);
  profile.print("a training step", 8, 2);
}

void compare_with_graphs(Trainer& trainer, const Options& options) {
  std::vector<sequence::PackedSequence> sequences;
  for (std::int64_t i = 0; i < options.steps; ++i) sequences.push_back(trainer.packed());
  GraphPasses passes(trainer.transformer(), {.modality_weights = {1e-3, 1e-3, 1e-3}}, sequences);
  double difference = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(passes.count(), 3); ++i) {
    const auto replayed = passes.replayed(i).item<double>(), plain = passes.plain(i).item<double>();
    difference = std::max(difference, std::abs(replayed / plain - 1));
    trainer.transformer().parameters().zero_gradients();
  }
  const auto step_ms = [&](auto pass) {
    benchmark::synchronise();
    const double start = seconds();
    for (std::size_t i = 0; i < passes.count(); ++i) {
      (passes.*pass)(i);
      trainer.update();
    }
    benchmark::synchronise();
    return 1e3 * (seconds() - start) / static_cast<double>(passes.count());
  };
  const double plain = step_ms(&GraphPasses::plain), replayed = step_ms(&GraphPasses::replayed);
  benchmark::Line("train_step_graphs")
      .add("shape", std::string(options.shape.name))
      .add("step_ms", replayed)
      .add("plain_step_ms", plain)
      .add("ratio", plain / replayed)
      .add("loss_difference", difference)
      .print();
}

}  // namespace

int main(int count, char** arguments) {
  benchmark::device();
  kernels::keep_freed_memory();
  const Options options = read_options(count, arguments);
  Trainer trainer(options);
  if (!options.write.empty()) {
    trainer.write_documents(options.write / "documents-0.safetensors", trainer.packed());
    return 0;
  }
  if (!options.check.empty()) {
    trainer.write_check(options.check);
    return 0;
  }
  std::printf("training, %d threads\n", at::get_num_threads());
  measure(trainer, options);
  if (options.library) compare_with_library(trainer);
  if (options.graphs) compare_with_graphs(trainer, options);
  return 0;
}
