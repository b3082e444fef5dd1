#include "omni/model/transformer.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "low_rank_layers.h"
#include "omni/core/error.h"
#include "omni/core/name_pattern.h"
#include "omni/core/random.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

std::vector<RangeCodebook> codebooks_of(const Transformer::Network& network) {
  std::vector<RangeCodebook> codebooks;
  for (const auto& code : network.code_ranges) codebooks.push_back({code.range.name, code.codebook});
  return codebooks;
}

// Copies every parameter that both have; matrices whose rows are tokens may have grown.
void copy_parameters(const nn::ParameterStore& from, nn::ParameterStore& to) {
  const c10::NoGradGuard guard;
  for (const nn::Parameter& target : to.all()) {
    const nn::Parameter* source = from.find(target.name);
    if (!source) continue;
    Tensor place = target.master;
    if (place.size(0) > source->master.size(0)) place = place.narrow(0, 0, source->master.size(0));
    place.copy_(source->master);
  }
}

}  // namespace

Transformer::Transformer(const TransformerConfig& config, const sequence::Vocabulary& vocabulary,
                         const sequence::SequenceLayout& layout, nn::ParameterStart start,
                         const std::vector<RangeCodebook>& codebooks)
    : network_(std::make_unique<Network>(config, vocabulary, layout, std::move(start), codebooks)) {}

Transformer::~Transformer() = default;

const TransformerConfig& Transformer::config() const { return network_->config; }
const sequence::Vocabulary& Transformer::vocabulary() const { return network_->vocabulary; }
const sequence::SequenceLayout& Transformer::layout() const { return network_->layout; }
nn::ParameterStore& Transformer::parameters() { return network_->parameters; }
const nn::ParameterStore& Transformer::parameters() const { return network_->parameters; }

void Transformer::set_activation_type(at::ScalarType type) {
  ensure(type == at::kFloat || type == at::kBFloat16, "activations are fp32 or bf16");
  network_->type = type;
}

at::ScalarType Transformer::activation_type() const { return network_->type; }

void Transformer::set_attention_path(kernels::AttentionPath path) { network_->attention_path = path; }

void Transformer::set_fused_kernels(const kernels::FusedKernels& fused) { network_->fused = fused; }

void Transformer::to(at::Device device) { network_->parameters.to(device); }

void Transformer::to(at::Device device, at::ScalarType matrix_type) {
  std::set<const void*> matrices;
  for (const Network::NamedLinear& own : network_->linear_layers())
    matrices.insert(own.layer->weight.weight().unsafeGetTensorImpl());
  // A head that codebooks are added to is added up in fp32.
  if (network_->head.defined() && network_->code_ranges.empty())
    matrices.insert(network_->head.unsafeGetTensorImpl());
  network_->parameters.to(device, [&](const nn::Parameter& parameter) {
    return matrices.contains(parameter.value.unsafeGetTensorImpl()) ? matrix_type
                                                                    : parameter.value.scalar_type();
  });
}

at::Device Transformer::device() const { return network_->embedding.device(); }

void Transformer::set_recompute(const nn::Recomputation& recomputation) {
  network_->recomputation = recomputation;
  set_executor(nn::make_recompute_executor(recomputation));
}

void Transformer::forget_copies() {
  for (const Network::NamedLinear& own : network_->linear_layers()) own.layer->weight.forget_copies();
  network_->output_rows.forget_copies();
}

void Transformer::set_executor(std::unique_ptr<nn::BlockExecutor> executor) {
  network_->executor = std::move(executor);
}

at::Tensor Transformer::embed_features(std::int32_t input, const at::Tensor& features) const {
  const c10::NoGradGuard no_grad;
  const FeatureProjection& projection = network_->feature_projections.at(static_cast<std::size_t>(input));
  const auto device = network_->embedding.device();
  return at::linear(features.to(device, at::kFloat), projection.weight.to(at::kFloat),
                    projection.bias.to(at::kFloat))
      .cpu();
}

void Transformer::add_adapters(const nn::LowRankConfig& config, nn::ParameterStart start) {
  add_adapters_beside(*this, config, std::move(start), [](const nn::Parameter&) { return false; });
}

void add_adapters_beside(Transformer& transformer, const nn::LowRankConfig& config, nn::ParameterStart start,
                         const std::function<bool(const nn::Parameter&)>& whole) {
  Transformer::Network& network = transformer.network();
  ensure(config.rank > 0 && network.adapters.rank == 0, "adapters are added once");
  std::vector<Transformer::Network::NamedLinear> layers = network.linear_layers();
  std::vector<std::string> names;
  for (const Transformer::Network::NamedLinear& own : layers) names.push_back(own.name);
  const std::vector<bool> chosen = chosen_by_patterns(config.layers, names, "lora.layers");
  nn::ParameterStore& store = network.parameters;
  store.start_from(std::move(start));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!chosen[i]) continue;
    const nn::Parameter& weight = *store.find(names[i] + ".weight");
    const nn::ParameterScope scope(store, names[i], weight.unit);
    layers[i].layer->adapter =
        nn::LowRankAdapter(scope, layers[i].layer->weight.weight(), weight.stacked_rows, config);
  }
  store.freeze([&](const nn::Parameter& parameter) {
    return !nn::LowRankAdapter::owns(parameter) && !whole(parameter);
  });
  network.adapters = config;
}

void Transformer::merge_adapters() {
  const c10::NoGradGuard guard;
  for (const Network::NamedLinear& own : network_->linear_layers()) {
    if (!own.layer->adapter.defined()) continue;
    at::Tensor weight = own.layer->weight.weight();
    weight.copy_(own.layer->adapter.merged_into(weight));
    own.layer->adapter = {};
  }
  network_->parameters.remove(nn::LowRankAdapter::owns);
  network_->adapters = {};
}

const nn::LowRankConfig& Transformer::adapters() const { return network_->adapters; }

bool Transformer::has_codebooks() const { return !network_->code_ranges.empty(); }

void Transformer::fold_codebooks() {
  if (!has_codebooks() && !network_->config.codebook_embedding) return;
  const c10::NoGradGuard guard;
  ensure(network_->adapters.rank == 0, "adapters are merged before codebooks are folded");
  TransformerConfig config = network_->config;
  config.codebook_embedding = false;
  auto folded = std::make_unique<Network>(config, network_->vocabulary, network_->layout, 0,
                                          std::vector<RangeCodebook>{});
  copy_parameters(network_->parameters, folded->parameters);
  folded->embedding.copy_(network_->token_rows());
  folded->type = network_->type;
  folded->attention_path = network_->attention_path;
  folded->fused = network_->fused;
  network_ = std::move(folded);
}

std::vector<std::string> Transformer::token_row_parameters() const {
  std::vector<std::string> names = {"embedding.weight"};
  if (!network_->config.tied_embeddings) names.emplace_back("head.weight");
  return names;
}

std::unique_ptr<Transformer> grow_vocabulary(const Transformer& model, const sequence::Vocabulary& larger,
                                             std::uint64_t seed, double noise) {
  if (!larger.extends(model.vocabulary()))
    fail(ErrorKind::usage, "growing the vocabulary: the new one does not start with the model's ranges");
  const bool shapes_alone = model.parameters().all().front().value.is_meta();
  auto grown = std::make_unique<Transformer>(
      model.config(), larger, model.layout(),
      shapes_alone ? nn::ParameterStart::shapes() : nn::ParameterStart(seed), codebooks_of(model.network()));
  grown->set_activation_type(model.activation_type());
  if (shapes_alone) return grown;
  copy_parameters(model.parameters(), grown->parameters());
  const c10::NoGradGuard guard;
  const std::int64_t old_rows = model.vocabulary().size(), new_rows = larger.size() - old_rows;
  for (const std::string& name : grown->token_row_parameters()) {
    Tensor table = grown->parameters().find(name)->master;
    const Tensor any = table[sequence::kAny];
    const double deviation = noise * std::sqrt(any.to(at::kDouble).square().mean().item<double>());
    CounterRng rng(seed, hash_string(name));
    Tensor drawn = at::empty({new_rows, table.size(1)}, at::kFloat);
    float* values = drawn.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < drawn.numel(); ++i) values[i] = static_cast<float>(deviation * rng.normal());
    table.narrow(0, old_rows, new_rows).copy_(any.unsqueeze(0) + drawn);
  }
  return grown;
}

}  // namespace omni::model
