#include "omni/kernels/cuda_decode_step.h"

#include <algorithm>
#include <compare>
#include <cstring>
#include <map>

#include "cuda_decode_entry.h"
#include "cuda_decode_network.h"
#include "cuda_draw_fault.h"
#include "cuda_step_graph.h"
#include "omni/core/error.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Plans differ in what a step does and in its rows; weights and memory are the same.
enum class StepKind : std::uint8_t { blocks, head, draw };
struct PlanKey {
  StepKind kind = StepKind::blocks;
  std::int64_t rows = 0, samples = 0;
  friend auto operator<=>(const PlanKey&, const PlanKey&) = default;
};

struct StepPlan {
  OmniCudaDecodePlan plan{};
  std::vector<OmniCudaDecodeLayer> layers;
  StepGraph graph;
  bool launched = false;
};

void check_draws(const CudaDrawingStep& step) {
  const std::size_t rows = step.rows.size(), samples = step.draws.size();
  ensure(samples > 0 && rows % samples == 0, "decoding step: ", samples, " draws from ", rows, " rows");
  for (const CudaDecodeDraw& draw : step.draws) {
    validate(draw.settings);
    ensure(draw.guidance.size() + 1 == rows / samples, "decoding step: ", draw.guidance.size(),
           " weights for samples of ", rows / samples, " rows");
  }
}

}  // namespace

struct CudaDecodeStep::State {
  CudaDecodeNetwork network;
  at::Device device;
  bool graphs, ran_graph = false;
  OmniCudaDecodePlan base{};  // what all plans have in common
  std::vector<OmniCudaDecodeLayer> layers;
  std::vector<Tensor> owned;  // what plans point to, beside these:
  Tensor table, current, normed, attention_workspace, logits, drawn, ring, sampling_workspace;
  // Whose counters the workspaces hold: they lie where other numbers keep sums.
  std::int64_t attention_rows = 0, sampled = 0;
  std::map<PlanKey, StepPlan> plans;  // after the memory: graphs go first

  State(CudaDecodeNetwork given, bool graphs)
      : network(std::move(given)),
        device(network.token_rows.device()),
        graphs(graphs),
        base(decode_plan_of(network)),
        layers(decode_plan_layers(network)) {
    allocate_table();
    allocate_blocks();
    if (base.head.weight) allocate_drawing();
  }

  at::TensorOptions on_device(at::ScalarType type) const { return at::TensorOptions(type).device(device); }

  // Zeroed memory of at most kMostRows rows.
  void* buffer(std::int64_t width, at::ScalarType type) {
    owned.push_back(at::zeros({kMostRows, width}, on_device(type)));
    return owned.back().mutable_data_ptr();
  }

  void allocate_table() {
    const bool draws = base.head.weight != nullptr;
    const std::int64_t words = DecodeStepEntry(kMostRows, draws ? kMostRows : 0, network.head_size).words() +
                               kMostRows;  // weights of guidance, whatever they are
    table = at::zeros({kCounterWords + (draws ? kMostSteps : 1) * words}, on_device(at::kInt));
    current = at::zeros({words}, on_device(at::kInt));
    base.begin.counter = table.mutable_data_ptr<std::int32_t>();
    base.begin.table = base.begin.counter + kCounterWords;
    base.begin.current = current.mutable_data_ptr<std::int32_t>();
  }

  void allocate_blocks() {
    const CudaDecodeNetwork& n = network;
    const std::int64_t width = base.width, attended = n.heads * n.head_size;
    OmniCudaDecodeMemory& m = base.memory;
    for (float*& residual : m.residual) residual = static_cast<float*>(buffer(width, at::kFloat));
    base.embed.embedded = m.residual[0];
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
    const OmniCudaDecodeAttention attention = decode_plan_attention(n, *n.layers.front().cache);
    attention_workspace =
        at::zeros({cuda_plugin().decode_attention_workspace(&attention)}, on_device(at::kByte));
    m.attention = attention_workspace.mutable_data_ptr();
  }

  void allocate_drawing() {
    base.memory.logits = static_cast<float*>(buffer(base.embed.vocabulary, at::kFloat));
    logits = owned.back();
    drawn = at::zeros({4, kMostRows}, on_device(at::kInt));
    // The device writes it where the host reads.
    ring = at::zeros({kMostSteps * kMostRows, kDrawnWords}, at::TensorOptions(at::kInt).pinned_memory(true));
    std::int64_t bytes = 0;
    for (std::int32_t samples = 1; samples <= kMostRows; ++samples)
      bytes = std::max(bytes, cuda_plugin().token_sampling_workspace(
                                  samples, static_cast<std::int32_t>(base.embed.vocabulary)));
    sampling_workspace = at::zeros({bytes}, on_device(at::kByte));
  }

  StepPlan& plan_for(const PlanKey& key) {
    const auto [found, is_new] = plans.try_emplace(key);
    if (is_new) describe(key, found->second);
    if (key.kind != StepKind::head && std::exchange(attention_rows, key.rows) != key.rows)
      attention_workspace.zero_();
    if (key.kind == StepKind::draw && std::exchange(sampled, key.samples) != key.samples)
      sampling_workspace.zero_();
    return found->second;
  }

  // Points a plan to the parts of its entry.
  void describe(const PlanKey& key, StepPlan& step) const {
    const DecodeStepEntry entry(key.rows, key.samples, network.head_size);
    std::int32_t* const words = base.begin.current;
    OmniCudaDecodePlan& plan = step.plan;
    plan = base;
    plan.begin.words = entry.words();
    plan.rows = plan.embed.rows = static_cast<std::int32_t>(key.rows);
    plan.runs = words + entry.runs();
    if (key.kind == StepKind::blocks) plan.head = {};
    if (key.kind == StepKind::head) return;
    plan.embed.tokens = words + entry.tokens();
    plan.embed.drawn_of_row = words + entry.drawn_of_row();
    plan.embed.slots = words + entry.slots();
    plan.embed.next_slots = words + entry.next_slots();
    plan.cosine = reinterpret_cast<const float*>(words + entry.cosine());
    plan.sine = reinterpret_cast<const float*>(words + entry.sine());
    step.layers = layers;
    for (std::size_t i = 0; i < layers.size(); ++i)
      step.layers[i].rows = reinterpret_cast<const OmniCudaDecodeRow*>(
          words + (network.layers[i].second_place ? entry.second() : entry.first()));
    plan.layers = step.layers.data();
    if (key.kind == StepKind::draw) describe_drawing(key, entry, plan);
  }

  void describe_drawing(const PlanKey& key, const DecodeStepEntry& entry, OmniCudaDecodePlan& plan) const {
    std::int32_t* const words = base.begin.current;
    std::int32_t* const results = drawn.mutable_data_ptr<std::int32_t>();
    OmniCudaTokenSampling& s = plan.sampling;
    s.logits = plan.memory.logits;
    s.condition_stride = base.embed.vocabulary;
    s.row_stride = (entry.conditions() + 1) * base.embed.vocabulary;
    s.type = kOmniCudaFloat;
    s.batch = static_cast<std::int32_t>(key.samples);
    s.vocabulary = static_cast<std::int32_t>(base.embed.vocabulary);
    s.conditions = static_cast<std::int32_t>(entry.conditions());
    s.guidance = reinterpret_cast<const float*>(words + entry.guidance());
    s.ranges = words + entry.ranges();
    s.rows = reinterpret_cast<OmniCudaSamplingRow*>(words + entry.sampling());
    s.tokens = results;
    s.statuses = results + kMostRows;
    s.log_probabilities = reinterpret_cast<float*>(results + 2 * kMostRows);
    s.filtered_log_probabilities = reinterpret_cast<float*>(results + 3 * kMostRows);
    s.workspace = sampling_workspace.mutable_data_ptr();
    plan.embed.drawn = s.tokens;
    plan.publish = {s.tokens,
                    s.statuses,
                    s.log_probabilities,
                    base.begin.counter,
                    static_cast<OmniCudaDecodeDrawn*>(ring.mutable_data_ptr()),
                    s.batch};
  }

  // One copy: the counter, and the entries that `write` fills.
  template <class Write>
  void upload(const StepPlan& step, std::int64_t count, const Write& write) const {
    const std::int64_t words = step.plan.begin.words;
    Tensor host = at::zeros({kCounterWords + count * words}, at::kInt);
    std::int32_t* const entries = host.mutable_data_ptr<std::int32_t>() + kCounterWords;
    for (std::int64_t i = 0; i < count; ++i) write(static_cast<std::size_t>(i), entries + i * words);
    table.narrow(0, 0, host.size(0)).copy_(host);
  }

  c10::Stream stream() const { return c10::impl::VirtualGuardImpl(device.type()).getStream(device); }

  // The first launch of a plan is plain: it sets the kernels' attributes.
  int launch(StepPlan& step) {
    if (graphs && step.launched && !step.graph.defined()) step.graph.capture(step.plan);
    step.launched = true;
    ran_graph = step.graph.defined();
    return ran_graph ? step.graph.launch(stream())
                     : cuda_plugin().decode_launch(&step.plan, native_stream(stream()));
  }

  std::vector<std::vector<DrawnToken>> read_ring(std::int64_t steps, std::int64_t samples) const {
    const auto* read = static_cast<const OmniCudaDecodeDrawn*>(ring.const_data_ptr());
    std::vector<std::vector<DrawnToken>> tokens(static_cast<std::size_t>(steps));
    for (std::int64_t i = 0; i < steps; ++i)
      for (std::int64_t s = 0; s < samples; ++s, ++read) {
        ensure(read->step == i + 1, "decoding step: the GPU has not told what it drew in step ", i + 1);
        tokens[static_cast<std::size_t>(i)].push_back(
            {read->token, read->log_probability, draw_fault(read->status)});
      }
    return tokens;
  }

  static constexpr std::int64_t kCounterWords = 4;
  static constexpr std::int64_t kDrawnWords = sizeof(OmniCudaDecodeDrawn) / sizeof(std::int32_t);
};

std::string CudaDecodeStep::refusal(const CudaDecodeNetwork& network) {
  return decode_network_refusal(network);
}

CudaDecodeStep::CudaDecodeStep(CudaDecodeNetwork network, Launches launches) {
  const std::string why = refusal(network);
  ensure(why.empty(), "decoding step: ", why);
  const c10::DeviceGuard on(network.token_rows.device());
  state_ = std::make_unique<State>(std::move(network), launches == Launches::graph);
}

CudaDecodeStep::~CudaDecodeStep() = default;

bool CudaDecodeStep::ran_graph() const { return state_->ran_graph; }

Tensor CudaDecodeStep::hidden(std::int64_t rows) const { return state_->normed.narrow(0, 0, rows); }

Tensor CudaDecodeStep::run(std::span<const CudaDecodeStepRow> rows) {
  const auto count = static_cast<std::int64_t>(rows.size());
  ensure(count >= 1 && count <= kMostRows, "decoding step: ", count, " rows");
  State& state = *state_;
  check_decode_rows(state.network, rows, /*drawn=*/false);
  const c10::DeviceGuard on(state.device);
  StepPlan& step = state.plan_for({StepKind::blocks, count, 0});
  const DecodeStepEntry entry(count, 0, state.network.head_size);
  state.upload(step, 1, [&](std::size_t, std::int32_t* words) { entry.write_rows(rows, words); });
  const int error = state.launch(step);
  ensure(error == 0, "decoding step: the GPU refused it: error ", error);
  return hidden(count);
}

Tensor CudaDecodeStep::logits(const Tensor& hidden, std::span<const TokenRun> runs) {
  State& state = *state_;
  const std::int64_t count = hidden.size(0);
  ensure(state.logits.defined() && hidden.dim() == 2 && count >= 1 && count <= kMostRows &&
             hidden.size(1) == state.base.width && !runs.empty(),
         "decoding step: no logits of ", hidden.sizes());
  const c10::DeviceGuard on(state.device);
  StepPlan& step = state.plan_for({StepKind::head, count, 0});
  const DecodeStepEntry entry(count, 0, state.network.head_size);
  state.upload(step, 1, [&](std::size_t, std::int32_t* words) {
    entry.write_runs(runs, state.base.embed.vocabulary, words);
  });
  state.normed.narrow(0, 0, count).copy_(hidden);
  const int error = state.launch(step);
  ensure(error == 0, "decoding step: the GPU refused the head: error ", error);
  return state.logits.narrow(0, 0, count);
}

std::vector<std::vector<DrawnToken>> CudaDecodeStep::draw(std::span<const CudaDrawingStep> steps) {
  State& state = *state_;
  const auto count = static_cast<std::int64_t>(steps.size());
  ensure(state.logits.defined() && count >= 1 && count <= kMostSteps, "decoding step: a stretch of ", count);
  const auto rows = static_cast<std::int64_t>(steps[0].rows.size()),
             samples = static_cast<std::int64_t>(steps[0].draws.size());
  ensure(rows >= 1 && rows <= kMostRows, "decoding step: ", rows, " rows");
  for (std::int64_t i = 0; i < count; ++i) {
    const CudaDrawingStep& step = steps[static_cast<std::size_t>(i)];
    ensure(step.rows.size() == steps[0].rows.size() && step.draws.size() == steps[0].draws.size(),
           "decoding step: the steps of a stretch differ in their rows");
    check_decode_rows(state.network, step.rows, /*drawn=*/i > 0);
    check_draws(step);
  }
  const c10::DeviceGuard on(state.device);
  StepPlan& step = state.plan_for({StepKind::draw, rows, samples});
  const DecodeStepEntry entry(rows, samples, state.network.head_size);
  state.upload(step, count, [&](std::size_t i, std::int32_t* words) {
    entry.write_rows(steps[i].rows, words);
    entry.write_draws(steps[i].draws, state.base.embed.vocabulary, words);
  });
  state.ring.zero_();
  int error = 0;
  for (std::int64_t i = 0; i < count && error == 0; ++i) error = state.launch(step);
  c10::impl::VirtualGuardImpl(state.device.type()).synchronizeStream(state.stream());
  ensure(error == 0, "decoding step: the GPU refused a stretch: error ", error);
  return state.read_ring(count, samples);
}

}  // namespace omni::kernels
