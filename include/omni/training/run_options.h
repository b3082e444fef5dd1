#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace omni::training {

// What becomes of a run that the output holds already.
enum class Resume {
  no,   // it is left alone: the output is refused
  yes,  // it goes on; an output without a checkpoint is refused
  // It goes on if it has left a checkpoint, else a run starts anew: for launchers, which repeat a command
  // until it ends well.
  automatic,
};

struct RunOptions {
  Resume resume = Resume::no;
  // Keys of the config, or sections of it, that a resumed run may change. See docs/training.md for those that
  // may change without being named.
  std::vector<std::string> allowed_changes;
};

// What an output holds of an earlier run.
struct EarlierRun {
  std::filesystem::path output;
  bool finished = false;  // its bundle or tokenizer is there
  std::optional<std::filesystem::path> checkpoint;
};

// The rule of every training command: whether the run goes on from the checkpoint; if not, it starts anew.
// Throws Error(usage) where `resume` allows neither.
bool goes_on(const EarlierRun& earlier, Resume resume);

}  // namespace omni::training
