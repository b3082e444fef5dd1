#include "stage_checkpoints.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "omni/core/error.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

// Copies a moment over the first rows of `target`.
void read_moment(const checkpoint::CheckpointReader& checkpoint, const std::string& name,
                 const at::Tensor& target) {
  const auto found = checkpoint.tensors().find(name);
  if (found == checkpoint.tensors().end())
    fail(ErrorKind::input, "reading the checkpoint '", checkpoint.folder().string(), "': '", name,
         "' is missing");
  const at::IntArrayRef stored(found->second), wanted = target.sizes();
  if (stored.size() != wanted.size() ||
      (!stored.empty() && (stored.slice(1) != wanted.slice(1) || stored[0] > wanted[0])))
    fail(ErrorKind::input, "reading the checkpoint '", checkpoint.folder().string(), "': '", name,
         "' has another shape than the parameter");
  at::Tensor whole = at::zeros(wanted, at::kFloat);
  const std::int64_t count = c10::multiply_integers(stored);
  checkpoint.read(name, 0, {whole.mutable_data_ptr<float>(), static_cast<std::size_t>(count)});
  target.copy_(whole);
}

double count_of(const checkpoint::CheckpointReader& checkpoint, const char* name) {
  const auto found = checkpoint.manifest().run.numbers.find(name);
  if (found == checkpoint.manifest().run.numbers.end() || !(found->second >= 0))
    fail(ErrorKind::input, "reading the checkpoint '", checkpoint.folder().string(), "': '", name,
         "' is no count");
  return found->second;
}

checkpoint::WriterPlace place_of(const StageConfig& config, const SavingRank& rank) {
  return {.run_folder = checkpoint_folder(config.output),
          .rank = rank.rank,
          .ranks = rank.ranks,
          .gather = rank.gather,
          .retention = {.kept = config.checkpoints_kept, .every = config.checkpoint_keep_every}};
}

}  // namespace

fs::path checkpoint_folder(const fs::path& output) { return output / "checkpoints"; }

void restore_optimizer(const checkpoint::CheckpointReader& checkpoint, StageOptimizer& optimizer) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, moment] : optimizer.moments()) read_moment(checkpoint, name, moment);
  optimizer.set_steps_taken(std::llround(count_of(checkpoint, checkpoint::kOptimizerSteps)));
}

StageCheckpoints::StageCheckpoints(const StageConfig& config, const model::Bundle& bundle,
                                   const StageOptimizer& optimizer, SavingRank rank)
    : config_(config),
      rank_(std::move(rank)),
      folder_(checkpoint_folder(config.output)),
      bundle_(&bundle),
      optimizer_(&optimizer),
      writer_(place_of(config, rank_)) {
  if (rank_.rank != 0) return;  // which looks for all
  std::uint64_t bytes = 0;
  for (const Part& part : parts()) bytes += part.elements.nbytes() * static_cast<std::uint64_t>(rank_.ranks);
  checkpoint::require_space(folder_, bytes, planned_count());
}

// How many are on the disk at once, as far as the config tells.
std::int64_t StageCheckpoints::planned_count() const {
  std::int64_t possible = config_.steps;
  if (config_.checkpoint_steps > 0)
    possible = config_.steps / config_.checkpoint_steps + 1;
  else if (config_.minutes > 0)
    possible = static_cast<std::int64_t>(
        std::min(static_cast<double>(possible), config_.minutes / config_.checkpoint_minutes + 2));
  return std::min(config_.checkpoints_kept + 1, possible);  // the newest is written before the oldest goes
}

std::vector<StageCheckpoints::Part> StageCheckpoints::parts() const {
  std::vector<Part> parts;
  const auto add = [&](const std::string& name, const at::Tensor& whole) {
    const std::int64_t first = checkpoint::share_begin(whole.numel(), rank_.rank, rank_.ranks),
                       end = checkpoint::share_begin(whole.numel(), rank_.rank + 1, rank_.ranks);
    parts.push_back({name, whole.sizes().vec(), first, whole.reshape({-1}).narrow(0, first, end - first)});
  };
  for (const nn::Parameter& parameter : bundle_->transformer->parameters().all())
    add(parameter.name + checkpoint::kValueSuffix, parameter.master);
  for (const auto& [name, moment] : optimizer_->moments()) add(name, moment);
  return parts;
}

void StageCheckpoints::begin(const checkpoint::CheckpointReader* resumed) {
  if (rank_.rank != 0) return;
  const fs::path common = checkpoint::common_folder(folder_);
  if (resumed != nullptr && !resumed->manifest().common.empty()) {
    common_ = resumed->manifest().common;
    return;
  }
  model::save_bundle_frame(*bundle_, common);
  common_ = checkpoint::stored_files(common);
}

void StageCheckpoints::save(const checkpoint::RunState& state) {
  const c10::NoGradGuard no_grad;
  writer_.wait();  // until then the copy is in use
  const std::vector<Part> parts = this->parts();
  if (!copy_.defined()) {
    std::int64_t elements = 0;
    bool on_gpu = false;
    for (const Part& part : parts) {
      elements += part.elements.numel();
      on_gpu = on_gpu || part.elements.is_cuda();
    }
    copy_ = at::empty({elements}, at::TensorOptions(at::kFloat).pinned_memory(on_gpu));
  }
  checkpoint::Manifest manifest{.run = state, .config = {}, .shards = {}, .common = common_};
  manifest.run.numbers[checkpoint::kOptimizerSteps] = static_cast<double>(optimizer_->steps_taken());
  StageConfig config = config_;
  manifest.config = config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, config); });
  std::vector<checkpoint::Piece> pieces;
  std::int64_t next = 0;
  for (const Part& part : parts) {
    const at::Tensor own = copy_.narrow(0, next, part.elements.numel());
    own.copy_(part.elements);
    pieces.push_back({part.name,
                      part.shape,
                      part.first,
                      {static_cast<const std::byte*>(own.const_data_ptr()), own.nbytes()}});
    next += own.numel();
  }
  writer_.start(std::move(manifest), std::move(pieces));
}

}  // namespace omni::training
