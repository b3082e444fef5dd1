#include "shape_tokenizer_checkpoint.h"

#include <charconv>
#include <map>

#include "omni/core/error.h"
#include "omni/core/safetensors.h"

namespace omni::training {
namespace {

using at::Tensor;

constexpr const char* kNetwork = "network.";

// The parts of a config that decide what is learnt.
std::string recipe_of(ShapeTokenizerTrainingConfig config) {
  const ShapeTokenizerTrainingConfig standard;
  config.steps = standard.steps;
  config.minutes = standard.minutes;
  config.checkpoint_minutes = standard.checkpoint_minutes;
  config.log_steps = standard.log_steps;
  config.evaluation_objects = standard.evaluation_objects;
  return config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, config); });
}

nn::NamedTensors learning_states(ShapeLayoutTraining& training) {
  nn::NamedTensors all;
  for (const auto& [name, quantiser] : training.quantisers())
    for (const auto& [part, tensor] : quantiser->learning_state())
      all.emplace_back(concat("quantiser.", name, ".", part), tensor);
  return all;
}

template <class Number>
Number number_in(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  Number value{};
  if (found != file.metadata().end()) {
    const std::string& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= 0) return value;
  }
  fail(ErrorKind::input, "reading the checkpoint '", file.name(), "': '", key,
       "' is missing or no number. Remove the file to start anew");
}

}  // namespace

std::filesystem::path shape_checkpoint_path(const std::filesystem::path& output) {
  std::filesystem::path path = output;
  path += ".checkpoint.safetensors";
  return path;
}

void save_shape_checkpoint(const std::filesystem::path& path, const ShapeTokenizerTrainingConfig& config,
                           ShapeLayoutTraining& training, const optimizer::AdamW& optimizer,
                           const ShapeTrainingState& state) {
  nn::NamedTensors all = optimizer.state();
  for (const nn::Parameter& parameter : training.parameters().all())
    all.emplace_back(kNetwork + parameter.name, parameter.value);
  for (auto& entry : learning_states(training)) all.push_back(std::move(entry));
  nn::write_tensors(path, all,
                    {{"recipe", recipe_of(config)},
                     {"step", std::to_string(state.step)},
                     {"milliseconds", std::to_string(static_cast<std::int64_t>(state.seconds * 1e3))},
                     {"quantising", state.quantising ? "1" : "0"}});
}

ShapeTrainingState load_shape_checkpoint(const std::filesystem::path& path,
                                         const ShapeTokenizerTrainingConfig& config,
                                         ShapeLayoutTraining& training, optimizer::AdamW& optimizer) {
  const SafetensorsFile file(path);
  const auto recipe = file.metadata().find("recipe");
  if (recipe == file.metadata().end() || recipe->second != recipe_of(config))
    fail(ErrorKind::usage, "going on from '", path.string(),
         "': it was made with another config. Take the same one, or remove the file to start anew");
  training.parameters().load(file, kNetwork);
  optimizer.load_state(file);
  for (const auto& [name, quantiser] : training.quantisers()) {
    const std::string prefix = concat("quantiser.", name, ".");
    std::map<std::string, Tensor> state;
    for (const auto& [key, view] : file.tensors())
      if (key.starts_with(prefix)) state.emplace(key.substr(prefix.size()), nn::to_tensor(view));
    if (!state.empty()) quantiser->restore_learning(state);
  }
  return {number_in<std::int64_t>(file, "step"),
          static_cast<double>(number_in<std::int64_t>(file, "milliseconds")) / 1e3,
          number_in<std::int64_t>(file, "quantising") == 1};
}

}  // namespace omni::training
