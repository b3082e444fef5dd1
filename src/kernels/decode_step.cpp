#include "omni/kernels/decode_step.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "cpu/add_norm_kernels.h"
#include "cpu/cache_visits.h"
#include "cpu/cpu_cached_attention.h"
#include "cpu/swiglu_kernels.h"
#include "cpu/thread_team.h"
#include "decode_linear_call.h"
#include "floats_or_null.h"
#include "omni/core/error.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

Tensor fp32_row(const Tensor& row) {
  return row.defined() ? row.detach().to(at::kFloat).contiguous() : Tensor();
}

void check_row(const Tensor& row, std::int64_t size, const char* name) {
  ensure(!row.defined() || (row.device().is_cpu() && row.numel() == size), "decoding step: ", name, " is ",
         row.defined() ? row.sizes() : at::IntArrayRef(), " in place of ", size);
}

// What a block's kernels are told.
struct LayerCalls {
  NormParameters attention_norm, mlp_norm;
  DecodeLinearCall qkv, attention_out, gate_up, down;
  AttentionInputs attention;
  DecodeCache cache;
  std::size_t place = 0;

  std::array<DecodeLinearCall*, 4> products() { return {&qkv, &attention_out, &gate_up, &down}; }
};

// What the rows of a step are computed in.
struct StepMemory {
  std::int64_t rows = 0;
  Tensor residual;                        // [rows, width] fp32
  Tensor normed, delta;                   // [rows, width]
  Tensor qkv, attended, gate_up, hidden;  // [rows, ...]
  Tensor queries, lanes, row_scales;      // fp32
  std::vector<float> partials;            // of a block's attention
};

}  // namespace

struct DecodeStep::State {
  DecodeStepNetwork network;
  std::vector<LayerCalls> layers;
  NormParameters final_norm;
  StepMemory memory;

  explicit State(DecodeStepNetwork given);
  NormParameters norm_of(Tensor& weight) const;
  DecodeLinearCall product_of(DecodeStepMatrix& matrix, std::int64_t outputs, std::int64_t inputs) const;
  LayerCalls calls_of(DecodeStepLayer& layer) const;
  void make_room(std::int64_t rows);
  void check(const DecodeStepRows& rows) const;
  const KeyValueCache* cache_of_place(std::size_t place) const;
};

DecodeStep::State::State(DecodeStepNetwork given) : network(std::move(given)) {
  ensure(supports(network), "decoding step: there are no kernels for the network");
  for (DecodeStepLayer& layer : network.layers) layers.push_back(calls_of(layer));
  final_norm = norm_of(network.final_norm);
}

NormParameters DecodeStep::State::norm_of(Tensor& weight) const {
  check_row(weight, network.width, "a norm");
  weight = fp32_row(weight);
  return {network.type == at::kBFloat16, network.centred, static_cast<float>(network.norm_epsilon),
          network.width, floats_or_null(weight)};
}

DecodeLinearCall DecodeStep::State::product_of(DecodeStepMatrix& matrix, std::int64_t outputs,
                                               std::int64_t inputs) const {
  const DecodeWeight& weight = matrix.weight;
  ensure(weight.defined() && weight.outputs() == outputs && weight.inputs() == inputs,
         "decoding step: a weight of ", weight.outputs(), " by ", weight.inputs(), " in place of ", outputs,
         " by ", inputs);
  check_row(matrix.bias, outputs, "a bias");
  matrix.bias = fp32_row(matrix.bias);
  DecodeLinearCall call = call_of(weight);
  call.bias = floats_or_null(matrix.bias);
  return call;
}

LayerCalls DecodeStep::State::calls_of(DecodeStepLayer& layer) const {
  const DecodeStepNetwork& n = network;
  ensure(layer.cache != nullptr && layer.cache->keys().device().is_cpu() &&
             layer.cache->key_value_heads() == n.key_value_heads && layer.cache->head_size() == n.head_size &&
             layer.place < std::tuple_size_v<decltype(DecodeStepRows::places)>,
         "decoding step: a block's cache does not fit its heads");
  check_row(layer.query_norm, n.head_size, "a norm of queries");
  check_row(layer.key_norm, n.head_size, "a norm of keys");
  ensure(layer.query_norm.defined() == layer.key_norm.defined(),
         "decoding step: one norm of queries and keys");
  layer.query_norm = fp32_row(layer.query_norm);
  layer.key_norm = fp32_row(layer.key_norm);
  const std::int64_t attended = n.heads * n.head_size, stored = n.key_value_heads * n.head_size;
  LayerCalls calls;
  calls.attention_norm = norm_of(layer.attention_norm);
  calls.mlp_norm = norm_of(layer.mlp_norm);
  calls.qkv = product_of(layer.qkv, attended + 2 * stored, n.width);
  calls.attention_out = product_of(layer.attention_out, n.width, attended);
  calls.gate_up = product_of(layer.gate_up, 2 * n.inner, n.width);
  calls.down = product_of(layer.down, n.width, n.inner);
  calls.cache = view_of(*layer.cache);
  calls.place = layer.place;
  AttentionInputs& in = calls.attention;
  in.bf16 = n.type == at::kBFloat16;
  in.query_stride = in.key_stride = in.value_stride = attended + 2 * stored;
  in.heads = n.heads;
  in.key_value_heads = n.key_value_heads;
  in.head_size = n.head_size;
  in.interleaved = n.interleaved;
  in.query_norm = floats_or_null(layer.query_norm);
  in.key_norm = floats_or_null(layer.key_norm);
  in.norm_epsilon = static_cast<float>(n.head_norm_epsilon);
  return calls;
}

const KeyValueCache* DecodeStep::State::cache_of_place(std::size_t place) const {
  for (const DecodeStepLayer& layer : network.layers)
    if (layer.place == place) return layer.cache;
  return nullptr;
}

void DecodeStep::State::make_room(std::int64_t rows) {
  if (memory.rows == rows) return;
  const DecodeStepNetwork& n = network;
  const std::int64_t attended = n.heads * n.head_size, stored = n.key_value_heads * n.head_size;
  const auto room = [&](std::int64_t size) { return at::empty({rows, size}, n.type); };
  StepMemory& m = memory;
  m.rows = rows;
  m.residual = at::empty({rows, n.width}, at::kFloat);
  m.normed = room(n.width);
  m.delta = room(n.width);
  m.qkv = room(attended + 2 * stored);
  m.attended = room(attended);
  m.gate_up = room(2 * n.inner);
  m.hidden = room(n.inner);
  m.queries = at::empty({rows, attended}, at::kFloat);
  m.row_scales = at::empty({rows}, at::kFloat);
  std::int64_t lanes = 0;
  for (LayerCalls& layer : layers)
    for (DecodeLinearCall* call : layer.products()) {
      set_rows(*call, rows, n.type == at::kBFloat16);
      lanes = std::max(lanes, lane_count(*call));
    }
  m.lanes = at::empty({lanes}, at::kFloat);
  const std::int64_t bytes = m.qkv.element_size();
  for (LayerCalls& layer : layers) {
    const auto reads = [&](DecodeLinearCall& call, const Tensor& x, const Tensor& y) {
      call.x = x.const_data_ptr();
      call.y = y.mutable_data_ptr();
      call.lanes = m.lanes.mutable_data_ptr<float>();
      call.row_scales = m.row_scales.mutable_data_ptr<float>();
    };
    reads(layer.qkv, m.normed, m.qkv);
    reads(layer.attention_out, m.attended, m.delta);
    reads(layer.gate_up, m.normed, m.gate_up);
    reads(layer.down, m.hidden, m.delta);
    const auto* qkv = static_cast<const char*>(m.qkv.const_data_ptr());
    layer.attention.query = qkv;
    layer.attention.key = qkv + attended * bytes;
    layer.attention.value = qkv + (attended + stored) * bytes;
  }
}

void DecodeStep::State::check(const DecodeStepRows& rows) const {
  const auto is_of = [](const Tensor& tensor, at::IntArrayRef sizes) {
    return tensor.defined() && tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat &&
           tensor.is_contiguous() && tensor.sizes() == sizes;
  };
  const std::int64_t count = rows.embedded.size(0);
  ensure(count > 0 && count <= kMostRows && is_of(rows.embedded, {count, network.width}),
         "decoding step: rows ", rows.embedded.sizes());
  const at::IntArrayRef::value_type angles[] = {count, network.head_size / 2};
  for (const Tensor* table : {&rows.cosine, &rows.sine})
    ensure((!rows.cosine.defined() && !rows.sine.defined()) || is_of(*table, angles),
           "decoding step: the angles of other rows");
  for (std::size_t place = 0; place < rows.places.size(); ++place) {
    const DecodeStepRows::Places& own = rows.places[place];
    const KeyValueCache* cache = cache_of_place(place);
    if (cache == nullptr) continue;
    ensure(static_cast<std::int64_t>(own.sequences.size()) == count, "decoding step: one place per row");
    cache->check_places(own.sequences, own.positions, own.last_seen);
  }
}

namespace {

// The phases of a step, which the threads of a team go through together.
class Phases {
 public:
  // output [rows, width] in the activations' type
  Phases(const std::vector<LayerCalls>& layers, const NormParameters& final_norm, const StepMemory& memory,
         const DecodeStepRows& rows, const std::array<DecodeRows, 2>& places, const Tensor& output)
      : layers_(&layers),
        final_norm_(final_norm),
        rows_(memory.rows),
        residual_(memory.residual.mutable_data_ptr<float>()),
        delta_(memory.delta.const_data_ptr()),
        normed_(memory.normed.mutable_data_ptr()),
        gate_up_(memory.gate_up.const_data_ptr()),
        hidden_(memory.hidden.mutable_data_ptr()),
        output_(output.mutable_data_ptr()),
        cosine_(floats_or_null(rows.cosine)),
        sine_(floats_or_null(rows.sine)),
        places_(places),
        inner_(memory.hidden.size(1)) {}

  void walk(const TeamThread& thread) {
    const RowRange own = thread.share(rows_);
    for (const LayerCalls& layer : *layers_) {
      norm(layer.attention_norm, &layer != layers_->data(), own, normed_);
      multiply(layer.qkv, own, thread);
      attend(layer, own, thread);
      multiply(layer.attention_out, own, thread);
      norm(layer.mlp_norm, true, own, normed_);
      multiply(layer.gate_up, own, thread);
      swiglu_kernels().forward(layer.qkv.bf16, gate_up_, hidden_, inner_, own.first, own.last);
      multiply(layer.down, own, thread);
    }
    norm(final_norm_, !layers_->empty(), own, output_);
  }

 private:
  void norm(const NormParameters& parameters, bool adds, const RowRange& own, void* output) const {
    const NormForward rows{residual_, adds ? delta_ : nullptr, adds ? residual_ : nullptr, output};
    add_norm_kernels().forward(parameters, rows, own.first, own.last);
  }

  // Of all rows, after each thread has made its own inputs.
  void multiply(const DecodeLinearCall& call, const RowRange& own, const TeamThread& thread) {
    const DecodeLinearKernels kernels = decode_linear_kernels();
    kernels.prepare(call, own.first, own.last);
    if (thread.is_first()) next_ = 0;
    thread.meet();
    BlockTurns(call, thread.count()).take(next_, [&](std::int64_t first, std::int64_t last) {
      kernels.multiply(call, first, last);
    });
    thread.meet();
  }

  void attend(const LayerCalls& layer, const RowRange& own, const TeamThread& thread) const {
    const DecodeAttentionKernels kernels = decode_attention_kernels();
    AttentionInputs in = layer.attention;
    in.cosine = cosine_;
    in.sine = sine_;
    const DecodeRows& rows = places_[layer.place];
    const RowRange stored = thread.share(rows_ * in.key_value_heads);
    kernels.store(in, layer.cache, rows, stored.first, stored.last);
    thread.meet();
    const RowRange visited = thread.share(rows.visit_count * in.key_value_heads);
    kernels.attend(in, layer.cache, rows, visited.first, visited.last);
    thread.meet();
    kernels.merge(in, rows, own.first * in.heads, own.last * in.heads);
  }

  const std::vector<LayerCalls>* layers_;
  NormParameters final_norm_;
  std::int64_t rows_;
  float* residual_;
  const void* delta_;
  void* normed_;
  const void* gate_up_;
  void* hidden_;
  void* output_;
  const float* cosine_;
  const float* sine_;
  std::array<DecodeRows, 2> places_;
  std::int64_t inner_;
  std::atomic<std::int64_t> next_{0};
};

}  // namespace

bool DecodeStep::supports(const DecodeStepNetwork& network) {
  return (network.type == at::kFloat || network.type == at::kBFloat16) &&
         has_cpu_attention_kernel(network.type, network.head_size);
}

DecodeStep::DecodeStep(DecodeStepNetwork network) : state_(std::make_unique<State>(std::move(network))) {}
DecodeStep::~DecodeStep() = default;

Tensor DecodeStep::run(const DecodeStepRows& rows) {
  const c10::NoGradGuard no_gradient;
  const ProfiledRange profiled("omni::decode_step");
  State& state = *state_;
  state.check(rows);
  const std::int64_t count = rows.embedded.size(0);
  state.make_room(count);
  StepMemory& memory = state.memory;
  memory.residual.copy_(rows.embedded);
  Tensor output = at::empty({count, state.network.width}, state.network.type);
  std::array<std::optional<CacheVisits>, 2> visits;
  std::array<DecodeRows, 2> places;
  for (std::size_t place = 0; place < places.size(); ++place) {
    const KeyValueCache* cache = state.cache_of_place(place);
    if (cache == nullptr) continue;
    DecodeRows& own = places[place];
    own.sequence = rows.places[place].sequences.data();
    own.position = rows.places[place].positions.data();
    own.last_seen = rows.places[place].last_seen.data();
    own.queries = memory.queries.mutable_data_ptr<float>();
    own.output = memory.attended.mutable_data_ptr();
    visits[place].emplace(*cache, own, RowRange{0, count});
    visits[place]->give_to(own);
    const std::int64_t each = partials_per_row(own.chunks, state.network.heads, state.network.head_size);
    if (const auto all = static_cast<std::size_t>(count * each); all > memory.partials.size())
      memory.partials.resize(all);
  }
  for (DecodeRows& own : places) own.partials = memory.partials.data();
  Phases phases(state.layers, state.final_norm, memory, rows, places, output);
  run_team([&](const TeamThread& thread) { phases.walk(thread); });
  return output;
}

}  // namespace omni::kernels
