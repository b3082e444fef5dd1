// What saving costs a training run: a checkpoint every 20 steps, beside the same steps without.
//   checkpoint_save [--shape tiny|100m|200m|1b] [--tokens N] [--steps N] [--folder DIR]
//     --tokens   in a step (default: the shape's)
//     --steps    that are measured (default 3)
//     --folder   on the disk that is to be measured (default: the system's for temporary files)
// Training waits for the copy alone; a thread writes, hashes and flushes it. Processor time counts that thread
// in full, which on an idle core costs nothing: it is the bound that holds on a machine without one. What a
// trainer pays that writes its files between two steps is the last line.
// On two cores, 100m: of 20 steps of 16,384 tokens copying and writing 1.22 GB took 0.37 % of the processors' time
// (2.2 s), of 20 steps of 2,048 tokens 1.7 % and training waited for 0.15 % (0.07 s; 1.9 s until it is on disk).
#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>

#include "documents.h"
#include "kernels/timing.h"
#include "omni/checkpoint/writer.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/kernels/tensor.h"
#include "omni/model/transformer.h"
#include "omni/optimizer/adamw.h"
#include "omni/optimizer/groups.h"
#include "shapes.h"

namespace {

using namespace omni;
using namespace omni::benchmarks;

constexpr double kStepsPerCheckpoint = 20;

struct Options {
  Shape shape = kShapes[1];
  std::int64_t tokens = 0, steps = 3;
  std::string folder = std::filesystem::temp_directory_path().string();
};

Options read_options(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i], value = i + 1 < count ? arguments[++i] : "";
    if (name == "--shape")
      options.shape = shape_of(value);
    else if (name == "--tokens")
      options.tokens = std::atoll(value.c_str());
    else if (name == "--steps")
      options.steps = std::atoll(value.c_str());
    else if (name == "--folder")
      options.folder = value;
    else {
      std::fprintf(stderr, "checkpoint_save: unknown argument '%s'\n", name.c_str());
      std::exit(2);
    }
  }
  if (options.tokens <= 0) options.tokens = options.shape.step_tokens;
  return options;
}

// Of all threads of this process.
double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

struct Took {
  double wall = 0, processor = 0;
};
template <class Work>
Took measured(const Work& work) {
  const double wall = benchmark::seconds(), processor = processor_seconds();
  work();
  return {benchmark::seconds() - wall, processor_seconds() - processor};
}

class Run {
 public:
  explicit Run(const Options& options)
      : options_(options),
        vocabulary_(benchmarks::vocabulary()),
        layout_(benchmarks::layout(options.shape.geometry)),
        transformer_(options.shape.config(), vocabulary_, layout_, 1),
        rng_(3),
        folder_(std::filesystem::path(options.folder) / omni::concat("omni-checkpoints-", ::getpid())),
        writer_({.run_folder = folder_, .gather = nullptr, .retention = {.kept = 1, .every = 0}}) {
    transformer_.set_activation_type(at::kBFloat16);
    optimizer::seal_for(transformer_.parameters(), {}, {}, {.matrix_type = at::kBFloat16});
    optimizer_ = std::make_unique<optimizer::AdamW>(transformer_.parameters(), optimizer::AdamWConfig{});
    prepare_output_directory(folder_);
  }
  ~Run() {
    writer_.wait();
    std::filesystem::remove_all(folder_);
  }

  void step() {
    const sequence::PackedSequence packed =
        packed_documents(rng_, options_.tokens, options_.shape.geometry, vocabulary_, layout_);
    transformer_.loss(transformer_.prepare(packed), {.modality_weights = {1e-3, 1e-3, 1e-3}})
        .objective.sum()
        .backward();
    optimizer_->step(1e-3, optimizer::measure_gradients(transformer_.parameters(), 1.0));
    transformer_.parameters().zero_gradients();
  }

  void save() {
    const c10::NoGradGuard no_grad;
    writer_.wait();
    nn::NamedTensors state = optimizer::named_state(optimizer_->section_state(), transformer_.parameters());
    for (const nn::Parameter& parameter : transformer_.parameters().all())
      state.emplace_back(parameter.name + checkpoint::kValueSuffix, parameter.master);
    std::int64_t elements = 0;
    for (const auto& [name, tensor] : state) elements += tensor.numel();
    if (!copy_.defined()) copy_ = at::empty({elements}, at::kFloat);
    std::vector<checkpoint::Piece> pieces;
    std::int64_t next = 0;
    for (const auto& [name, tensor] : state) {
      const at::Tensor own = copy_.narrow(0, next, tensor.numel());
      own.copy_(tensor.reshape({-1}));
      pieces.push_back({name,
                        tensor.sizes().vec(),
                        0,
                        {static_cast<const std::byte*>(own.const_data_ptr()), own.nbytes()}});
      next += own.numel();
    }
    checkpoint::Manifest manifest;
    manifest.run.step = ++saved_;
    writer_.start(std::move(manifest), std::move(pieces));
  }
  void finish() { writer_.finish(); }
  double gigabytes() const { return static_cast<double>(copy_.nbytes()) / 1e9; }

 private:
  const Options& options_;
  sequence::Vocabulary vocabulary_;
  sequence::SequenceLayout layout_;
  model::Transformer transformer_;
  std::unique_ptr<optimizer::AdamW> optimizer_;
  CounterRng rng_;
  std::filesystem::path folder_;
  at::Tensor copy_;
  std::int64_t saved_ = 0;
  checkpoint::CheckpointWriter writer_;
};

void measure(const Options& options) {
  Run run(options);
  const auto steps = [&] {
    for (std::int64_t i = 0; i < options.steps; ++i) run.step();
  };
  run.step();
  const Took first = measured([&] { run.save(); });  // which also allocates the copy
  run.finish();
  const Took alone = measured(steps);
  Took copy;
  const Took beside = measured([&] {
    copy = measured([&] { run.save(); });
    steps();
  });
  run.finish();
  const Took waited = measured([&] {
    run.save();
    run.finish();
  });
  const double step = alone.wall / static_cast<double>(options.steps);
  const double step_processor = alone.processor / static_cast<double>(options.steps);
  std::printf("%s, %lld tokens in a step: %.2f s a step, %.2f s of processors; a checkpoint of %.2f GB\n",
              options.shape.name, static_cast<long long>(options.tokens), step, step_processor,
              run.gigabytes());
  std::printf("training waits %.3f s (%.3f s the first time): %.2f %% of %.0f steps\n", copy.wall, first.wall,
              100 * copy.wall / (kStepsPerCheckpoint * step), kStepsPerCheckpoint);
  std::printf("%lld steps with a checkpoint took %.3f s longer: %.2f %% of %.0f steps\n",
              static_cast<long long>(options.steps), beside.wall - alone.wall,
              100 * (beside.wall - alone.wall) / (kStepsPerCheckpoint * step), kStepsPerCheckpoint);
  std::printf("copying and writing take %.3f s of processors: %.2f %% of %.0f steps\n", waited.processor,
              100 * waited.processor / (kStepsPerCheckpoint * step_processor), kStepsPerCheckpoint);
  std::printf("waiting until it is on the disk: %.3f s, %.2f %%, %.1f times as much as the copy\n",
              waited.wall, 100 * waited.wall / (kStepsPerCheckpoint * step), waited.wall / copy.wall);
}

}  // namespace

int main(int count, char** arguments) {
  const Options options = read_options(count, arguments);
  kernels::keep_freed_memory();
  measure(options);
  return 0;
}
