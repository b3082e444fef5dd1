#include "omni/model/cube3d_gpt.h"

#include <ATen/core/grad_mode.h>

#include <nlohmann/json.hpp>

#include "cached_blocks.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/kernels/token_sampling.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

sequence::Vocabulary cube3d_vocabulary(const Cube3dGptConfig& config) {
  sequence::Vocabulary vocabulary;
  vocabulary.append(std::string(sequence::kRangeGeometry), static_cast<std::int32_t>(config.shape_codes));
  return vocabulary;
}

// Reads tensors of the public file into the parameters of Transformer.
class Reader {
 public:
  Reader(const SafetensorsFile& file, nn::ParameterStore& parameters)
      : file_(file), parameters_(parameters) {}

  Tensor tensor(const std::string& name) const { return nn::to_tensor(file_.at(name)).to(at::kFloat); }
  // Stacks tensors of the file along their rows into one parameter.
  void fill(const std::string& parameter, const std::vector<Tensor>& parts) const {
    const nn::Parameter* target = parameters_.find(parameter);
    ensure(target != nullptr, "no parameter '", parameter, "'");
    const Tensor joined = parts.size() == 1 ? parts[0] : at::cat(parts, 0);
    if (joined.sizes() != target->value.sizes())
      fail(ErrorKind::input, file_.name(), ": the tensors for '", parameter, "' have shape ", joined.sizes(),
           ", the configuration wants ", target->value.sizes());
    const c10::NoGradGuard guard;
    at::Tensor(target->value).copy_(joined);
  }

  void attention(const std::string& from, const std::string& to, bool keys_only) const {
    const Tensor value = tensor(from + ".c_v.weight"), value_bias = tensor(from + ".c_v.bias");
    if (keys_only) {
      fill(to + ".qkv.weight", {tensor(from + ".c_k.weight"), value});
      fill(to + ".qkv.bias", {tensor(from + ".c_k.bias"), value_bias});
    } else {
      const Tensor query_key = tensor(from + ".c_qk.weight");
      fill(to + ".qkv.weight", {query_key, value});
      fill(to + ".qkv.bias", {at::zeros({query_key.size(0)}), value_bias});
      fill(to + ".query_norm.weight", {tensor(from + ".q_norm.weight")});
    }
    fill(to + ".key_norm.weight", {tensor(from + ".k_norm.weight")});
  }

  void mlp(const std::string& projection, const std::string& from, const std::string& to) const {
    for (const std::string kind : {".weight", ".bias"}) {
      fill(to + ".attention_out" + kind, {tensor(projection + kind)});
      fill(to + ".gate_up" + kind, {tensor(from + ".gate_proj" + kind), tensor(from + ".up_proj" + kind)});
      fill(to + ".down" + kind, {tensor(from + ".down_proj" + kind)});
    }
  }

 private:
  const SafetensorsFile& file_;
  nn::ParameterStore& parameters_;
};

// The file's rows are the codes, then bos, eos, pad; ours are the specials, then the codes.
void read_token_rows(const Tensor& rows, const Cube3dGptConfig& config, Tensor target,
                     const std::string& name) {
  if (rows.dim() != 2 || rows.size(0) != config.shape_codes + 3 || rows.size(1) != config.width)
    fail(ErrorKind::input, "the tensor '", name, "' has another shape than the configuration says");
  const c10::NoGradGuard guard;
  target.zero_();
  target.narrow(0, sequence::kSpecialCount, config.shape_codes).copy_(rows.narrow(0, 0, config.shape_codes));
  const std::int32_t specials[] = {sequence::kBos, sequence::kEos, sequence::kPad};
  for (std::int64_t i = 0; i < 3; ++i) target[specials[i]].copy_(rows[config.shape_codes + i]);
}

Tensor file_order(const Tensor& rows, const Cube3dGptConfig& config) {
  return at::cat({rows.narrow(0, sequence::kSpecialCount, config.shape_codes),
                  rows[sequence::kBos].unsqueeze(0), rows[sequence::kEos].unsqueeze(0),
                  rows[sequence::kPad].unsqueeze(0)});
}

// Condition rows stand at position 0, shape rows at 0, 1, 2, ...
void add_rows(NewRows& rows, std::int32_t sequence, std::int64_t count, std::uint8_t stream,
              std::int32_t first_position) {
  for (std::int64_t i = 0; i < count; ++i) {
    rows.sequences.push_back(sequence);
    rows.offsets.push_back(stream == 0 ? 0 : first_position + static_cast<std::int32_t>(i));
    rows.rows.push_back(0);
    rows.columns.push_back(0);
    rows.streams.push_back(stream);
  }
}

std::int32_t choose(const Tensor& logits, const Cube3dGpt::SampleOptions& options, std::int64_t sequence,
                    std::int64_t step) {
  kernels::SamplingSettings settings;
  settings.temperature = options.top_p > 0 ? 1.0 : 0.0;
  settings.top_p = options.top_p > 0 ? options.top_p : 1.0;
  const std::span<const float> row(logits.const_data_ptr<float>(), static_cast<std::size_t>(logits.numel()));
  const kernels::SamplingKey key{options.seed, static_cast<std::uint64_t>(sequence),
                                 static_cast<std::uint64_t>(step)};
  return kernels::sample_token(row, settings, key, concat("shape code ", step)).index;
}

}  // namespace

Cube3dGptConfig Cube3dGptConfig::load(const std::filesystem::path& path) {
  const auto json = nlohmann::json::parse(read_file_text(path), nullptr, false);
  const auto number = [&](const char* key, auto& value) {
    if (!json.is_object() || !json.contains(key) || !json[key].is_number())
      fail(ErrorKind::input, "cannot read ", path, ": it has no number '", key, "'");
    value = json[key].get<std::remove_reference_t<decltype(value)>>();
  };
  Cube3dGptConfig config;
  number("n_layer", config.dual_layers);
  number("n_single_layer", config.single_layers);
  number("n_head", config.heads);
  number("n_embd", config.width);
  number("shape_model_vocab_size", config.shape_codes);
  number("text_model_embed_dim", config.text_width);
  number("shape_model_embed_dim", config.code_dimension);
  number("rope_theta", config.rope_theta);
  number("eps", config.norm_epsilon);
  for (const std::int64_t size : {config.dual_layers, config.heads, config.width, config.shape_codes,
                                  config.text_width, config.code_dimension})
    if (size < 1 || size > 1 << 24) fail(ErrorKind::input, "cannot read ", path, ": a size is out of range");
  return config;
}

TransformerConfig transformer_config(const Cube3dGptConfig& c) {
  TransformerConfig t;
  t.width = c.width;
  t.streams = 2;
  t.dual_blocks = c.dual_layers;
  t.single_blocks = c.single_layers;
  t.single_over = "generated";
  t.heads = c.heads;
  t.mlp_multiplier = 4;
  t.norm = "layer";
  t.norm_scale = false;
  t.norm_epsilon = c.norm_epsilon;
  t.bias = true;
  t.rope = "interleaved";
  t.rope_theta = c.rope_theta;
  t.tied_embeddings = false;
  t.slot_embedding = false;
  t.codebook_embedding = false;
  return t;
}

Cube3dGpt::Cube3dGpt(const Cube3dGptConfig& config, const std::filesystem::path& weights) : config_(config) {
  const SafetensorsFile file(weights);
  transformer_ = std::make_unique<Transformer>(transformer_config(config), cube3d_vocabulary(config),
                                               sequence::SequenceLayout{});
  const Reader reader(file, transformer_->parameters());
  for (std::int64_t i = 0; i < config.dual_layers; ++i) {
    const std::string from = concat("transformer.dual_blocks.", i), to = concat("dual_blocks.", i);
    const bool last = i + 1 == config.dual_layers;
    reader.attention(from + ".attn.pre_c", to + ".text", last);
    reader.attention(from + ".attn.pre_x", to + ".generated", false);
    reader.mlp(from + ".post_1.c_proj", from + ".post_1.mlp", to + ".generated");
    if (!last) reader.mlp(from + ".post_2.c_proj", from + ".post_2.mlp", to + ".text");
  }
  for (std::int64_t i = 0; i < config.single_layers; ++i) {
    const std::string from = concat("transformer.single_blocks.", i), to = concat("single_blocks.", i);
    reader.attention(from + ".attn", to, false);
    reader.mlp(from + ".attn.c_proj", from + ".mlp", to);
  }
  Transformer::Network& net = transformer_->network();
  read_token_rows(reader.tensor("transformer.wte.weight"), config, net.embedding, "transformer.wte.weight");
  read_token_rows(reader.tensor("lm_head.weight"), config, net.head, "lm_head.weight");
  const Reader projections(file, projections_);
  const auto project = [&](const std::string& name, std::int64_t inputs) {
    projections_.add(name + ".weight", {config.width, inputs}, nn::Init::zeros());
    projections_.add(name + ".bias", {config.width}, nn::Init::zeros());
    for (const std::string kind : {".weight", ".bias"})
      projections.fill(name + kind, {projections.tensor(name + kind)});
  };
  project("text_proj", config.text_width);
  project("bbox_proj", 3);
  project("shape_proj", config.code_dimension);
}

void Cube3dGpt::set_codebook(const Tensor& codebook) {
  const c10::NoGradGuard guard;
  ensure(codebook.size(0) == config_.shape_codes && codebook.size(1) == config_.code_dimension,
         "the codebook has another shape");
  const Tensor rows = at::linear(codebook.to(at::kFloat), projections_.find("shape_proj.weight")->value,
                                 projections_.find("shape_proj.bias")->value);
  transformer_->network().embedding.narrow(0, sequence::kSpecialCount, config_.shape_codes).copy_(rows);
}

Tensor Cube3dGpt::condition(const Tensor& text_features, const Tensor& box) const {
  const c10::NoGradGuard guard;
  const auto project = [&](const std::string& name, const Tensor& x) {
    return at::linear(x.to(at::kFloat), projections_.find(name + ".weight")->value,
                      projections_.find(name + ".bias")->value);
  };
  return at::cat({project("text_proj", text_features), project("bbox_proj", box).unsqueeze(1)}, 1);
}

Tensor Cube3dGpt::logits(const Tensor& condition, const Tensor& shape_codes) const {
  const c10::NoGradGuard guard;
  const Transformer::Network& net = transformer_->network();
  const std::int64_t batch = condition.size(0), prompt = condition.size(1), steps = shape_codes.size(1) + 1;
  const Tensor start = at::full({batch, 1}, static_cast<std::int64_t>(sequence::kBos), at::kLong);
  const Tensor tokens =
      at::cat({start, shape_codes.to(at::kLong) + static_cast<std::int64_t>(sequence::kSpecialCount)}, 1);
  const Tensor rows = at::cat({condition, at::embedding(net.embedding, tokens)}, 1).flatten(0, 1);
  NewRows places;
  std::vector<std::int64_t> starts = {0};
  for (std::int64_t b = 0; b < batch; ++b) {
    add_rows(places, static_cast<std::int32_t>(b), prompt, 0, 0);
    add_rows(places, static_cast<std::int32_t>(b), steps, 1, 0);
    starts.push_back(starts.back() + prompt + steps);
  }
  const RowPlan plan = net.plan({places.offsets, places.rows, places.columns, places.streams, starts});
  const Tensor hidden = net.run(rows.contiguous(), plan).to(at::kFloat);
  return at::mm(hidden, file_order(net.head, config_).t()).view({batch, steps, config_.shape_codes + 3});
}

std::vector<std::vector<std::int32_t>> Cube3dGpt::sample(const Tensor& condition, const Tensor& unconditional,
                                                         const SampleOptions& options) const {
  const c10::NoGradGuard guard;
  const Transformer::Network& net = transformer_->network();
  const std::int64_t batch = condition.size(0), prompt = condition.size(1);
  ensure(unconditional.size(0) == batch || unconditional.size(0) == 1,
         "one unconditional prompt, or one per row");
  const Tensor head = net.head.narrow(0, sequence::kSpecialCount, config_.shape_codes);
  // Sequences 0 .. batch - 1 carry the condition, the others none.
  CachedBlocks blocks(net, 2 * batch, prompt + options.steps);
  const Tensor prompts = at::cat({condition, unconditional.expand({batch, -1, -1})}, 0);
  const Tensor bos = net.embedding[sequence::kBos].view({1, 1, -1}).expand({2 * batch, 1, -1});
  Tensor rows = at::cat({prompts, bos}, 1).flatten(0, 1).contiguous();
  std::vector<std::vector<std::int32_t>> codes(batch);
  for (std::int64_t step = 0; step < options.steps; ++step) {
    NewRows places;
    for (std::int32_t s = 0; s < 2 * batch; ++s) {
      if (step == 0) add_rows(places, s, prompt, 0, 0);
      add_rows(places, s, 1, 1, static_cast<std::int32_t>(step));
    }
    const Tensor hidden = blocks.append(rows, places).hidden.to(at::kFloat);  // one output per sequence
    const Tensor logits = at::mm(hidden, head.t());
    const double guidance =
        options.guidance * static_cast<double>(options.steps - step) / static_cast<double>(options.steps);
    const Tensor guided =
        (logits.narrow(0, 0, batch) * (1 + guidance) - logits.narrow(0, batch, batch) * guidance)
            .contiguous();
    std::vector<std::int64_t> chosen;
    for (std::int64_t b = 0; b < batch; ++b) {
      codes[b].push_back(choose(guided[b], options, b, step));
      chosen.push_back(codes[b].back() + sequence::kSpecialCount);
    }
    const Tensor next = at::embedding(net.embedding, index_tensor(chosen));
    rows = at::cat({next, next}, 0);
  }
  return codes;
}

}  // namespace omni::model
