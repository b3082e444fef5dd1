#pragma once

#include <gtest/gtest.h>

#include "metric_lines.h"
#include "omni/checkpoint/run_folder.h"
#include "omni/core/files.h"
#include "omni/data/token_shard.h"
#include "omni/model/bundle.h"
#include "omni/training/stage_config.h"
#include "temporary_directory.h"

namespace omni::training {

// A world of captions alone, for runs that last a moment.

// A text tokenizer without merges and one shard, so that a stage runs in a moment.
class CaptionWorld : public testing::Test {
 protected:
  void SetUp() override {
    tokenizers::TextTokenizer::from_merges({}).save(folder_ / "text.json");
    write_shard("shards", tokenizers::TextTokenizer::load(folder_ / "text.json").fingerprint());
  }

  void write_shard(const std::string& name, std::uint64_t fingerprint,
                   const std::vector<std::string>& captions = {"a red ball", "a blue cube",
                                                               "a tall green tower", "two small cups"},
                   const std::vector<std::string>& held_out = {}) {
    const auto tokenizer = tokenizers::TextTokenizer::load(folder_ / "text.json");
    std::vector<data::TokenObject> objects;
    const auto add = [&](const std::string& words, data::Split split) {
      data::TokenObject object;
      object.id = words;
      object.split = split;
      object.captions.push_back({tokenizer.encode(words), data::CaptionKind::complete});
      objects.push_back(object);
    };
    for (const std::string& words : captions) add(words, data::Split::train);
    for (const std::string& words : held_out) add(words, data::Split::new_instance);
    data::TokenShardInfo info;
    info.tokens.text = {.vocabulary = tokenizer.vocabulary_size(), .tokenizer = fingerprint};
    prepare_output_directory(folder_ / name);
    data::write_token_shard(folder_.path() / name / "shard-00000.safetensors", info, objects);
  }

  StageConfig config(const std::string& output) const {
    StageConfig c;
    c.output = (folder_ / output).string();
    c.tokenizers.text = (folder_ / "text.json").string();
    c.text_capacity = 24;
    c.shards = {(folder_ / "shards").string()};
    c.custom_tasks = {{"captions", {{.modality = sequence::Modality::text, .loss = true}}}};
    c.mixture = {{"captions", 1}};
    c.model.width = 32;
    c.model.single_blocks = 1;
    c.model.heads = 2;
    c.tokens_per_step = 128;
    c.tokens_per_micro_batch = 64;
    c.steps = 12;
    c.precision = "fp32";
    c.log_steps = 1;
    c.schedule.peak_learning_rate = 1e-2;
    return c;
  }

  static std::vector<at::Tensor> weights(const std::filesystem::path& bundle) {
    const model::Bundle loaded = model::load_bundle(bundle);
    std::vector<at::Tensor> values;
    for (const nn::Parameter& parameter : loaded.transformer->parameters().all())
      values.push_back(parameter.value.detach().clone());
    return values;
  }

  // Values and moments after the twelfth step.
  std::vector<std::byte> last_shard(const std::string& output) const {
    return read_file_bytes(folder_.path() / output / "checkpoints" / "step-00000012" /
                           "shard-00000-of-00001.safetensors");
  }

  // The lines of a run's metrics without times and memory.
  std::vector<nlohmann::json> timeless_metrics(const std::string& output) const {
    std::vector<nlohmann::json> lines = test::metric_lines(folder_.path() / output / "metrics.jsonl");
    for (nlohmann::json& line : lines) {
      for (const char* key :
           {"seconds", "tokens_per_second", "tokens_per_second_per_device", "loader_wait", "memory_gb"})
        EXPECT_EQ(line.erase(key), 1u) << key;
      for (auto number = line.begin(); number != line.end();)
        number = number.key().starts_with("memory_gb ") ? line.erase(number) : std::next(number);
    }
    return lines;
  }

  // Of the checkpoints that a run has left.
  static std::vector<std::int64_t> saved_steps(const StageConfig& c) {
    std::vector<std::int64_t> steps;
    for (const auto& entry : checkpoint::checkpoints_in(std::filesystem::path(c.output) / "checkpoints"))
      steps.push_back(entry.step);
    return steps;
  }

  // As if the run had been killed after that step: what came later is gone.
  static void forget_after(const StageConfig& c, std::int64_t step) {
    const std::filesystem::path output = c.output;
    for (const auto& entry : checkpoint::checkpoints_in(output / "checkpoints"))
      if (entry.step > step) std::filesystem::remove_all(entry.path);
    std::filesystem::remove_all(output / "bundle");
  }

  test::TemporaryDirectory folder_;
};

}  // namespace omni::training
