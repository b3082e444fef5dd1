#include "omni/kernels/cuda_decode_step.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "../int8_rows.h"
#include "cuda_cached_attention.h"
#include "cuda_launch.h"
#include "omni/core/error.h"
#include "omni/core/log.h"

namespace omni::kernels {
namespace {

using at::Tensor;

float* scales(const Tensor& tensor) { return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr; }

OmniCudaDecodeMatrix matrix_of(const CudaDecodeMatrix& m) {
  return {m.weight.const_data_ptr(),
          floats_or_null(m.scales),
          m.sums.defined() ? m.sums.const_data_ptr<std::int32_t>() : nullptr,
          floats_or_null(m.bias),
          m.weight.size(0),
          m.weight.size(1),
          m.scales.defined() ? kOmniCudaDecodeInt8 : kOmniCudaDecodeBf16};
}

// A step's entry in the plan's table, in words of 32 bits.
class StepEntry {
 public:
  StepEntry(std::int64_t rows, std::int64_t head_size) : rows_(rows), half_(head_size / 2) {}

  std::int64_t first() const { return 0; }
  std::int64_t second() const { return kPlaceWords * rows_; }
  std::int64_t tokens() const { return 2 * kPlaceWords * rows_; }
  std::int64_t slots() const { return tokens() + rows_; }
  std::int64_t next_slots() const { return slots() + rows_; }
  std::int64_t cosine() const { return next_slots() + rows_; }
  std::int64_t sine() const { return cosine() + half_ * rows_; }
  std::int64_t words() const { return sine() + half_ * rows_; }

  void write(std::span<const CudaDecodeStepRow> rows, std::int32_t* words) const {
    const auto put = [&](std::int64_t at, const void* values, std::int64_t count) {
      std::memcpy(words + at, values, static_cast<std::size_t>(count) * sizeof(std::int32_t));
    };
    for (std::int64_t r = 0; r < rows_; ++r) {
      const CudaDecodeStepRow& row = rows[static_cast<std::size_t>(r)];
      put(first() + kPlaceWords * r, &row.first, kPlaceWords);
      put(second() + kPlaceWords * r, &row.second, kPlaceWords);
      words[tokens() + r] = row.token;
      words[slots() + r] = row.slot;
      words[next_slots() + r] = row.next_slot;
      put(cosine() + half_ * r, row.cosine.data(), half_);
      put(sine() + half_ * r, row.sine.data(), half_);
    }
  }

 private:
  static constexpr std::int64_t kPlaceWords = 6;
  static_assert(sizeof(CudaDecodePlace) == kPlaceWords * sizeof(std::int32_t) &&
                sizeof(OmniCudaDecodeRow) == sizeof(CudaDecodePlace));
  std::int64_t rows_, half_;
};

OmniCudaDecodeAttention attention_of(const CudaDecodeNetwork& n, const KeyValueCache& cache) {
  OmniCudaDecodeAttention a{};
  a.keys = cache.keys().const_data_ptr();
  a.values = cache.values().const_data_ptr();
  a.key_scales = floats_or_null(cache.key_scales());
  a.value_scales = floats_or_null(cache.value_scales());
  a.query_stride = n.heads * n.head_size;
  a.room = cache.keys().size(2);
  a.row_count = static_cast<std::int32_t>(CudaDecodeStep::kMostRows);
  a.heads = static_cast<std::int32_t>(n.heads);
  a.key_value_heads = static_cast<std::int32_t>(n.key_value_heads);
  a.head_size = static_cast<std::int32_t>(n.head_size);
  a.keys_per_split = kCacheChunk;
  a.maximum_splits = static_cast<std::int32_t>(a.room / kCacheChunk);
  a.type = kOmniCudaBfloat16;
  a.cache_type = cache.type() == CacheType::int8 ? kOmniCudaCacheInt8 : kOmniCudaCacheLikeQuery;
  return a;
}

// The shapes and types of a block's weights; empty where they fit.
std::string weight_refusal(const CudaDecodeNetwork& n, const CudaDecodeLayer& layer) {
  const std::int64_t width = n.token_rows.size(1), attended = n.heads * n.head_size;
  const bool bytes = n.layers.front().qkv.scales.defined();
  struct Wanted {
    const CudaDecodeMatrix* matrix;
    std::int64_t outputs, inputs;
  };
  const Wanted all[] = {{&layer.qkv, attended + 2 * n.key_value_heads * n.head_size, width},
                        {&layer.attention_out, width, attended},
                        {&layer.gate_up, 2 * n.inner, width},
                        {&layer.down, width, n.inner}};
  for (const Wanted& wanted : all) {
    const Tensor& weight = wanted.matrix->weight;
    if (weight.sizes() != at::IntArrayRef({wanted.outputs, wanted.inputs}))
      return concat("a weight is ", weight.sizes(), " in place of ", wanted.outputs, " by ", wanted.inputs);
    if (wanted.matrix->scales.defined() != bytes) return "some weights are in int8 and others are not";
    if (!weight.is_contiguous() || weight.scalar_type() != (bytes ? at::kChar : at::kBFloat16) ||
        wanted.inputs % (bytes ? 16 : 8) != 0)
      return concat("there is no kernel for a weight ", weight.sizes(), " of ",
                    c10::toString(weight.scalar_type()));
  }
  return {};
}

std::string cache_refusal(const CudaDecodeNetwork& n, const KeyValueCache& cache) {
  const KeyValueCache& first = *n.layers.front().cache;
  if (cache.type() == CacheType::fp32) return "there is no kernel for a cache in fp32";
  if (cache.keys().sizes() != first.keys().sizes() || cache.type() != first.type() ||
      cache.capacity() != first.capacity())
    return "the caches of the blocks differ";
  if (cache.key_value_heads() != n.key_value_heads || cache.head_size() != n.head_size)
    return concat("a cache of ", cache.key_value_heads(), " heads of ", cache.head_size(), " in place of ",
                  n.key_value_heads, " of ", n.head_size);
  OmniCudaDecodeAttention attention = attention_of(n, cache);
  attention.query = cache.keys().const_data_ptr();  // any address that is aligned
  if (!cuda_plugin().decode_attention_supports(&attention))
    return concat("there is no attention kernel for heads of ", n.head_size);
  return {};
}

void check_places(const CudaDecodeNetwork& n, const std::vector<CudaDecodePlace>& places) {
  check_cuda_decode_places(places, n.heads / n.key_value_heads, kCacheChunk);
  const KeyValueCache& cache = *n.layers.front().cache;
  for (const CudaDecodePlace& place : places)
    ensure(place.sequence < cache.sequences() && place.holder < cache.sequences() &&
               place.position < cache.capacity(),
           "decoding step: sequence ", place.sequence, ", token ", place.position, ", is not in the cache");
}

// What the kernels would follow beyond the memory.
void check_rows(const CudaDecodeNetwork& n, std::span<const CudaDecodeStepRow> rows) {
  const auto within = [](std::int32_t index, const Tensor& table) {
    return !table.defined() || (index >= 0 && index < table.size(0));
  };
  std::vector<CudaDecodePlace> first, second;
  for (const CudaDecodeStepRow& row : rows) {
    ensure(within(row.token, n.token_rows) && within(row.slot, n.slot_rows) &&
               within(row.next_slot, n.next_slot_rows),
           "decoding step: token ", row.token, " or its slots ", row.slot, " and ", row.next_slot,
           " have no embedding");
    ensure(static_cast<std::int64_t>(row.cosine.size()) == n.head_size / 2 &&
               row.sine.size() == row.cosine.size(),
           "decoding step: a row has other angles than the heads");
    first.push_back(row.first);
    second.push_back(row.second);
  }
  const auto is_second = [](const CudaDecodeLayer& layer) { return layer.second_place; };
  if (!std::all_of(n.layers.begin(), n.layers.end(), is_second)) check_places(n, first);
  if (std::any_of(n.layers.begin(), n.layers.end(), is_second)) check_places(n, second);
}

// A captured step. Its memory is the plan's, which must stay as long.
class StepGraph {
 public:
  StepGraph() = default;
  ~StepGraph() {
    try {
      clear();
    } catch (const std::exception& error) {
      log_debug("a decoding step's graph was not given back: ", error.what());
    }
  }
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  bool defined() const { return graph_ != nullptr; }
  // Of the current device. Stays undefined, and is not tried again, where the plug-in makes none.
  void capture(const OmniCudaDecodePlan& plan) {
    if (refused_) return;
    const int error = cuda_plugin().decode_capture(&plan, &graph_);
    refused_ = error != 0;
    if (error > 0)
      log_debug("a decoding step is launched kernel by kernel: its capture gave CUDA error ", error);
  }
  int launch(const c10::Stream& stream) {
    stream_ = stream;
    return cuda_plugin().decode_graph_launch(graph_, native_stream(stream));
  }
  // Waits for the last launch. Throws where that or the device failed; there is no graph then either.
  void clear() {
    if (!graph_) return;
    void* const graph = std::exchange(graph_, nullptr);
    if (stream_) c10::impl::VirtualGuardImpl(stream_->device_type()).synchronizeStream(*stream_);
    stream_.reset();
    const int error = cuda_plugin().decode_destroy(graph);
    ensure(error == 0, "decoding step: the GPU did not give a graph back: error ", error);
  }

 private:
  void* graph_ = nullptr;
  std::optional<c10::Stream> stream_;  // of the last launch
  bool refused_ = false;
};

}  // namespace

CudaDecodeMatrix cuda_decode_matrix(const Tensor& weight, const Tensor& bf16, const Tensor& bias,
                                    DecodeFormat format) {
  CudaDecodeMatrix matrix;
  if (bias.defined()) matrix.bias = bias.detach().to(at::kFloat).contiguous();
  if (format == DecodeFormat::bf16) {
    matrix.weight = bf16.detach().contiguous();
    return matrix;
  }
  ensure(format == DecodeFormat::int8, "a GPU decodes with weights in bf16 or int8");
  const Int8Rows rows = int8_rows(weight);
  matrix.scales = rows.scales;
  matrix.weight = rows.values.contiguous();
  matrix.sums = rows.sums;
  return matrix;
}

std::optional<std::vector<CudaDecodePlace>> cuda_step_places(const KeyValueCache& cache,
                                                             std::span<const std::int32_t> sequences,
                                                             std::span<const std::int32_t> positions,
                                                             std::int64_t heads_per_key) {
  for (std::size_t i = 0; i < sequences.size(); ++i)
    ensure(positions[i] < cache.capacity() &&
               cache.holder(sequences[i], positions[i] / kCacheChunk) == sequences[i],
           "decoding step: a row has no place of its own in the cache");
  return cuda_decode_places(cache, sequences, positions, heads_per_key);
}

struct CudaDecodeStep::State {
  CudaDecodeNetwork network;
  at::Device device;
  std::vector<OmniCudaDecodeLayer> layers;
  OmniCudaDecodePlan plan{};
  std::vector<Tensor> owned;  // what the plan points to
  Tensor table, current, normed, attention_workspace;
  std::int64_t rows = 0;  // that the plan is made for
  bool graphs, launched = false, ran_graph = false;
  StepGraph graph;  // after the memory: it goes first

  State(CudaDecodeNetwork given, bool graphs)
      : network(std::move(given)), device(network.token_rows.device()), graphs(graphs) {
    describe_network();
    allocate();
  }

  // Zeroed memory of at most kMostRows rows.
  void* buffer(std::int64_t width, at::ScalarType type) {
    owned.push_back(at::zeros({kMostRows, width}, at::TensorOptions(type).device(device)));
    return owned.back().mutable_data_ptr();
  }

  void describe_network() {
    const CudaDecodeNetwork& n = network;
    const KeyValueCache& cache = *n.layers.front().cache;
    const OmniCudaDecodeAttention attention = attention_of(n, cache);
    plan.embed.token_rows = floats_or_null(n.token_rows);
    plan.embed.slot_rows = floats_or_null(n.slot_rows);
    plan.embed.next_slot_rows = floats_or_null(n.next_slot_rows);
    plan.embed.vocabulary = n.token_rows.size(0);
    plan.embed.width = plan.width = n.token_rows.size(1);
    plan.final_norm = floats_or_null(n.final_norm);
    plan.inner = n.inner;
    plan.room = attention.room;
    plan.layer_count = static_cast<std::int32_t>(n.layers.size());
    plan.heads = attention.heads;
    plan.key_value_heads = attention.key_value_heads;
    plan.head_size = attention.head_size;
    plan.interleaved = n.interleaved ? 1 : 0;
    plan.centred = n.centred ? 1 : 0;
    plan.norm_epsilon = static_cast<float>(n.norm_epsilon);
    plan.head_norm_epsilon = static_cast<float>(n.head_norm_epsilon);
    plan.cache_type = attention.cache_type;
    plan.keys_per_split = attention.keys_per_split;
    plan.maximum_splits = attention.maximum_splits;
    for (const CudaDecodeLayer& l : n.layers)
      layers.push_back({floats_or_null(l.attention_norm), floats_or_null(l.mlp_norm),
                        floats_or_null(l.query_norm), floats_or_null(l.key_norm), matrix_of(l.qkv),
                        matrix_of(l.attention_out), matrix_of(l.gate_up), matrix_of(l.down),
                        l.cache->keys().mutable_data_ptr(), l.cache->values().mutable_data_ptr(),
                        scales(l.cache->key_scales()), scales(l.cache->value_scales()), nullptr});
    plan.layers = layers.data();
  }

  void allocate() {
    const CudaDecodeNetwork& n = network;
    const std::int64_t width = plan.width, attended = n.heads * n.head_size;
    OmniCudaDecodeMemory& m = plan.memory;
    for (float*& residual : m.residual) residual = static_cast<float*>(buffer(width, at::kFloat));
    plan.embed.embedded = m.residual[0];
    m.normed = buffer(width, at::kBFloat16);
    normed = owned.back();
    m.qkv = buffer(attended + 2 * n.key_value_heads * n.head_size, at::kBFloat16);
    m.query = buffer(attended, at::kBFloat16);
    m.attended = buffer(attended, at::kBFloat16);
    m.delta = buffer(width, at::kBFloat16);
    m.gate_up = buffer(2 * n.inner, at::kBFloat16);
    m.hidden = buffer(n.inner, at::kBFloat16);
    if (n.layers.front().qkv.scales.defined()) {
      const std::int64_t widest = std::max({width, attended, n.inner});
      m.upper = static_cast<signed char*>(buffer(widest, at::kChar));
      m.lower = static_cast<signed char*>(buffer(widest, at::kChar));
      m.row_scales = static_cast<float*>(buffer(1, at::kFloat));
    }
    const OmniCudaDecodeAttention attention = attention_of(n, *n.layers.front().cache);
    attention_workspace = at::zeros({cuda_plugin().decode_attention_workspace(&attention)},
                                    at::TensorOptions(at::kByte).device(device));
    m.attention = attention_workspace.mutable_data_ptr();
    const std::int64_t words = StepEntry(kMostRows, n.head_size).words();
    const auto integers = at::TensorOptions(at::kInt).device(device);
    table = at::zeros({kCounterWords + words}, integers);
    current = at::zeros({words}, integers);
    plan.begin.counter = table.mutable_data_ptr<std::int32_t>();
    plan.begin.table = plan.begin.counter + kCounterWords;
    plan.begin.current = current.mutable_data_ptr<std::int32_t>();
  }

  // Points the plan to the parts of an entry of so many rows.
  void set_rows(std::int64_t count) {
    if (rows == count) return;
    rows = 0;  // what throws leaves no plan
    graph.clear();
    launched = false;
    attention_workspace.zero_();  // its counters lie where other numbers of rows keep sums
    const StepEntry entry(count, network.head_size);
    std::int32_t* words = plan.begin.current;
    plan.begin.words = entry.words();
    plan.rows = plan.embed.rows = static_cast<std::int32_t>(count);
    plan.embed.tokens = words + entry.tokens();
    plan.embed.slots = words + entry.slots();
    plan.embed.next_slots = words + entry.next_slots();
    plan.cosine = reinterpret_cast<const float*>(words + entry.cosine());
    plan.sine = reinterpret_cast<const float*>(words + entry.sine());
    for (std::size_t i = 0; i < layers.size(); ++i)
      layers[i].rows = reinterpret_cast<const OmniCudaDecodeRow*>(
          words + (network.layers[i].second_place ? entry.second() : entry.first()));
    rows = count;
  }

  // One copy: the counter and its only entry.
  void upload(std::span<const CudaDecodeStepRow> step) const {
    const StepEntry entry(rows, network.head_size);
    Tensor host = at::zeros({kCounterWords + entry.words()}, at::kInt);
    entry.write(step, host.mutable_data_ptr<std::int32_t>() + kCounterWords);
    table.narrow(0, 0, host.size(0)).copy_(host);
  }

  // The first launch of a plan is plain: it sets the kernels' attributes.
  int launch() {
    if (graphs && launched && !graph.defined()) graph.capture(plan);
    const c10::Stream stream = c10::impl::VirtualGuardImpl(device.type()).getStream(device);
    launched = true;
    ran_graph = graph.defined();
    return ran_graph ? graph.launch(stream) : cuda_plugin().decode_launch(&plan, native_stream(stream));
  }

  static constexpr std::int64_t kCounterWords = 4;
};

std::string CudaDecodeStep::refusal(const CudaDecodeNetwork& n) {
  if (!n.token_rows.is_cuda()) return "the model is not on a GPU";
  if (!cuda_plugin().status.loaded)
    return concat("the CUDA plug-in is not loaded: ", cuda_plugin().status.detail);
  if (n.layers.empty()) return "the model has no blocks";
  const c10::DeviceGuard on(n.token_rows.device());
  for (const CudaDecodeLayer& layer : n.layers) {
    if (std::string why = cache_refusal(n, *layer.cache); !why.empty()) return why;
    if (std::string why = weight_refusal(n, layer); !why.empty()) return why;
  }
  return {};
}

CudaDecodeStep::CudaDecodeStep(CudaDecodeNetwork network, Launches launches) {
  const std::string why = refusal(network);
  ensure(why.empty(), "decoding step: ", why);
  const c10::DeviceGuard on(network.token_rows.device());
  state_ = std::make_unique<State>(std::move(network), launches == Launches::graph);
}

CudaDecodeStep::~CudaDecodeStep() = default;

bool CudaDecodeStep::ran_graph() const { return state_->ran_graph; }

Tensor CudaDecodeStep::run(std::span<const CudaDecodeStepRow> rows) {
  const auto count = static_cast<std::int64_t>(rows.size());
  ensure(count >= 1 && count <= kMostRows, "decoding step: ", count, " rows");
  State& state = *state_;
  check_rows(state.network, rows);
  const c10::DeviceGuard on(state.device);
  state.set_rows(count);
  state.upload(rows);
  const int error = state.launch();
  ensure(error == 0, "decoding step: the GPU refused it: error ", error);
  return state.normed.narrow(0, 0, count);
}

}  // namespace omni::kernels
