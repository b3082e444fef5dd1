#include "tokenizer_checkpoint.h"

#include <charconv>

#include "omni/core/error.h"
#include "omni/core/safetensors.h"

namespace omni::training {
namespace {

using at::Tensor;

constexpr const char* kNetwork = "network.";
constexpr const char* kConfig = "recipe";
constexpr const char* kInput = "input.";
constexpr const char* kPosition = "position.";

[[noreturn]] void refuse(const SafetensorsFile& file, const std::string& reason) {
  fail(ErrorKind::input, "reading the checkpoint '", file.name(), "': ", reason,
       ". Remove the file to start anew");
}

std::uint64_t number_in(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  std::uint64_t value = 0;
  if (found != file.metadata().end()) {
    const std::string& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
  }
  refuse(file, "'" + key + "' is missing or no number");
}

nn::NamedTensors learning_states(TokenizerLearner& learner) {
  nn::NamedTensors all;
  for (const auto& [name, quantiser] : learner.quantisers())
    for (const auto& [part, tensor] : quantiser->learning_state())
      all.emplace_back(concat("quantiser.", name, ".", part), tensor);
  return all;
}

void restore_learning_states(const SafetensorsFile& file, TokenizerLearner& learner) {
  for (const auto& [name, quantiser] : learner.quantisers()) {
    const std::string prefix = concat("quantiser.", name, ".");
    std::map<std::string, Tensor> state;
    for (const auto& [key, view] : file.tensors())
      if (key.starts_with(prefix)) state.emplace(key.substr(prefix.size()), nn::to_tensor(view));
    if (!state.empty()) quantiser->restore_learning(state);
  }
}

}  // namespace

void save_tokenizer_checkpoint(const std::filesystem::path& path, const TokenizerRunRecord& record,
                               TokenizerLearner& learner, const optimizer::AdamW& optimizer,
                               const TokenizerTrainingState& state) {
  nn::NamedTensors all = optimizer.state();
  for (const nn::Parameter& parameter : learner.parameters().all())
    all.emplace_back(kNetwork + parameter.name, parameter.master);
  for (auto& entry : learning_states(learner)) all.push_back(std::move(entry));
  std::map<std::string, std::string> metadata = {
      {kConfig, record.yaml},
      {"step", std::to_string(state.step)},
      {"milliseconds", std::to_string(static_cast<std::int64_t>(state.seconds * 1e3))},
      {"quantising", state.quantising ? "1" : "0"}};
  for (const auto& [key, fingerprint] : record.inputs) metadata[kInput + key] = fingerprint;
  for (const auto& [key, number] : learner.position()) metadata[kPosition + key] = std::to_string(number);
  nn::write_tensors(path, all, metadata);
}

TokenizerRunRecord load_tokenizer_record(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const auto config = file.metadata().find(kConfig);
  if (config == file.metadata().end()) refuse(file, "it does not hold the run's config");
  TokenizerRunRecord record{.yaml = config->second, .inputs = {}};
  const std::string prefix = kInput;
  for (const auto& [key, fingerprint] : file.metadata())
    if (key.starts_with(prefix)) record.inputs[key.substr(prefix.size())] = fingerprint;
  return record;
}

TokenizerTrainingState load_tokenizer_checkpoint(const std::filesystem::path& path, TokenizerLearner& learner,
                                                 optimizer::AdamW& optimizer) {
  const SafetensorsFile file(path);
  learner.parameters().load(file, kNetwork);
  optimizer.load_state(file);
  restore_learning_states(file, learner);
  std::map<std::string, std::uint64_t> position = learner.position();
  for (auto& [key, number] : position) number = number_in(file, kPosition + key);
  learner.move_to(position);
  return {static_cast<std::int64_t>(number_in(file, "step")),
          static_cast<double>(number_in(file, "milliseconds")) / 1e3, number_in(file, "quantising") == 1};
}

}  // namespace omni::training
