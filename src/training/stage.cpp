#include "omni/training/stage.h"

#include <algorithm>
#include <array>
#include <string>

#include "omni/core/error.h"

namespace omni::training {
namespace {

constexpr std::array<Stage, 3> kStages = {
    {{"pretrain", "stage 1: all pairwise tasks, from fresh weights", /*starts_fresh=*/true, /*views=*/false},
     {"continue", "stage 2: view tokens, from a stage 1 bundle", /*starts_fresh=*/false, /*views=*/true},
     {"finetune", "stage 3: interleaved triplets, cycles and editing, from a stage 2 bundle",
      /*starts_fresh=*/false, /*views=*/true}}};

}  // namespace

std::span<const Stage> stages() { return kStages; }

const Stage& find_stage(std::string_view name) {
  const auto found =
      std::find_if(kStages.begin(), kStages.end(), [&](const Stage& s) { return s.name == name; });
  if (found != kStages.end()) return *found;
  std::string names;
  for (const Stage& stage : kStages) names += (names.empty() ? "" : ", ") + std::string(stage.name);
  fail(ErrorKind::usage, "there is no stage '", name, "'. The stages are ", names);
}

}  // namespace omni::training
