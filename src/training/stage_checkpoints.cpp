#include "stage_checkpoints.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/optimizer/parameter_average.h"
#include "omni/optimizer/state_piece.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const checkpoint::CheckpointReader& checkpoint, const std::string& name,
                         const char* reason) {
  fail(ErrorKind::input, "reading the checkpoint '", checkpoint.folder().string(), "': '", name, "' ",
       reason);
}

void read_state(const checkpoint::CheckpointReader& checkpoint, const optimizer::StatePiece& piece) {
  const std::string name = concat(piece.parameter->name, ".", piece.kind);
  const auto found = checkpoint.tensors().find(name);
  if (found == checkpoint.tensors().end()) {
    if (piece.kind == optimizer::kAverageKind) return;  // of a run that had none so far: it begins here
    refuse(checkpoint, name, "is missing");
  }
  const auto read = [&](std::int64_t first, std::span<float> target) {
    checkpoint.read(name, first, target);
  };
  if (!optimizer::fill(piece, found->second, read))
    refuse(checkpoint, name, "has another shape than the parameter");
}

double count_of(const checkpoint::CheckpointReader& checkpoint, const char* name) {
  const auto found = checkpoint.manifest().run.numbers.find(name);
  if (found == checkpoint.manifest().run.numbers.end() || !(found->second >= 0))
    refuse(checkpoint, name, "is no count");
  return found->second;
}

// What a rank tells rank 0 of its shard.
std::string text_of(const checkpoint::ShardReport& report) {
  return json_text(nlohmann::json({{"name", report.file.name},
                                   {"bytes", report.file.bytes},
                                   {"checksum", report.file.checksum},
                                   {"error", report.error}}));
}

checkpoint::ShardReport report_of(const std::string& text) {
  const nlohmann::json json = parse_json(text);
  return {{json.at("name").get<std::string>(), json.at("bytes").get<std::uint64_t>(),
           json.at("checksum").get<std::uint64_t>()},
          json.at("error").get<std::string>()};
}

checkpoint::WriterPlace place_of(const StageConfig& config, distributed::Ranks& ranks) {
  checkpoint::WriterPlace place{
      .run_folder = checkpoint_folder(config.output),
      .rank = ranks.collectives().rank(),
      .ranks = ranks.collectives().size(),
      .gather = {},
      .retention = {.kept = config.checkpoints_kept, .every = config.checkpoint_keep_every}};
  if (place.ranks == 1) return place;
  place.gather = [&ranks](std::int64_t step, const checkpoint::ShardReport& own) {
    std::vector<checkpoint::ShardReport> reports;
    for (const std::string& text : ranks.gather(concat("checkpoint of step ", step), text_of(own)))
      reports.push_back(report_of(text));
    return reports;
  };
  return place;
}

}  // namespace

fs::path checkpoint_folder(const fs::path& output) { return output / "checkpoints"; }

void restore_optimizer(const checkpoint::CheckpointReader& checkpoint, StageOptimizer& optimizer) {
  const c10::NoGradGuard no_grad;
  for (const optimizer::StatePiece& piece : optimizer.pieces()) read_state(checkpoint, piece);
  optimizer.set_steps_taken(std::llround(count_of(checkpoint, checkpoint::kOptimizerSteps)));
}

StageCheckpoints::StageCheckpoints(const StageConfig& config, const model::Bundle& bundle,
                                   const StageOptimizer& optimizer, distributed::Ranks& ranks)
    : config_(config),
      collectives_(ranks.collectives()),
      folder_(checkpoint_folder(config.output)),
      bundle_(&bundle),
      optimizer_(&optimizer),
      writer_(place_of(config, ranks)) {
  if (collectives_.rank() != 0) return;  // which looks for all
  std::uint64_t bytes = 0;
  for (const Part& part : parts())
    bytes += part.elements.nbytes() * static_cast<std::uint64_t>(collectives_.size());
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
  // The newest is written before the oldest goes.
  const std::int64_t kept = config_.checkpoints_kept + 1 + (config_.keep_best ? 1 : 0);
  return std::min(kept, possible);
}

void StageCheckpoints::add_share(const std::string& name, const at::Tensor& whole,
                                 std::vector<Part>& parts) const {
  const int rank = collectives_.rank(), ranks = collectives_.size();
  const std::int64_t first = checkpoint::share_begin(whole.numel(), rank, ranks),
                     end = checkpoint::share_begin(whole.numel(), rank + 1, ranks);
  parts.push_back({name, whole.sizes().vec(), first, whole.reshape({-1}).narrow(0, first, end - first)});
}

void StageCheckpoints::add_section(const nn::ParameterSection& section, const std::string& ending,
                                   const at::Tensor& owned, std::vector<Part>& parts) const {
  const std::vector<nn::Parameter>& all = bundle_->transformer->parameters().all();
  for (const nn::OwnedPiece& piece : nn::owned_pieces(section)) {
    const nn::Parameter& parameter = all[piece.parameter];
    const at::Tensor values = owned.narrow(0, piece.first, piece.elements.count);
    if (section.is_sharded())
      parts.push_back({parameter.name + ending, parameter.value.sizes().vec(), piece.elements.first, values});
    else
      add_share(parameter.name + ending, values.view(parameter.value.sizes()), parts);
  }
}

std::vector<StageCheckpoints::Part> StageCheckpoints::parts() const {
  std::vector<Part> parts;
  const nn::ParameterStore& store = bundle_->transformer->parameters();
  for (const nn::Parameter& parameter : store.all()) {
    if (parameter.trainable) continue;
    add_share(parameter.name + checkpoint::kValueSuffix, parameter.master, parts);
    parts.back().frozen = true;
  }
  for (const nn::ParameterUnit& unit : store.units())
    for (const nn::ParameterSection& section : unit.sections)
      add_section(section, checkpoint::kValueSuffix, section.masters, parts);
  for (const optimizer::SectionState& state : optimizer_->section_state())
    add_section(*state.section, "." + state.kind, state.values, parts);
  return parts;
}

void StageCheckpoints::begin(const checkpoint::CheckpointReader* resumed) {
  if (collectives_.rank() != 0) return;
  const fs::path common = checkpoint::common_folder(folder_);
  if (resumed != nullptr && !resumed->manifest().common.empty()) {
    common_ = resumed->manifest().common;
    return;
  }
  model::save_bundle_frame(*bundle_, common);
  common_ = checkpoint::stored_files(common);
}

void StageCheckpoints::save(const checkpoint::RunState& state, std::optional<std::int64_t> kept) {
  const c10::NoGradGuard no_grad;
  writer_.wait();  // until then the copy is in use
  const std::vector<Part> parts = this->parts();
  if (!copy_.defined()) {
    std::int64_t elements = 0;
    bool on_gpu = false;
    for (const Part& part : parts) {
      if (part.needs_copy()) elements += part.elements.numel();
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
    at::Tensor own = part.elements;
    if (part.needs_copy()) {
      own = copy_.narrow(0, next, part.elements.numel()).copy_(part.elements);
      next += own.numel();
    }
    pieces.push_back({part.name,
                      part.shape,
                      part.first,
                      {static_cast<const std::byte*>(own.const_data_ptr()), own.nbytes()}});
  }
  writer_.start(std::move(manifest), std::move(pieces), kept);
}

void StageCheckpoints::release() {
  writer_.wait();
  copy_ = at::Tensor();
}

}  // namespace omni::training
