// A stretch of whole decoding steps, each of which embeds what the one before drew, against the same
// transformer in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "aligned_memory.h"
#include "decode_plan_interface.h"
#include "omni/core/random.h"
#include "shim/device.h"
#include "shim/orders.h"

namespace omni::cuda {
namespace {

constexpr int kWidth = 64, kHeads = 2, kHeadSize = 64, kInner = 96, kVocabulary = 40, kLayers = 2, kRows = 2,
              kSteps = 4, kRoom = 128, kSlots = 3;
constexpr int kAttended = kHeads * kHeadSize;
constexpr double kEpsilon = 1e-5;

using Vector = std::vector<double>;

// A weight as the plan has it, and what it stands for.
class Matrix {
 public:
  Matrix(int outputs, int inputs, bool bytes, bool bias, CounterRng& rng)
      : outputs_(outputs),
        inputs_(inputs),
        bytes_(bytes),
        has_bias_(bias),
        halves_(count()),
        codes_(count()) {
    for (std::size_t i = 0; i < count(); ++i) {
      halves_[i] = static_cast<float>(rng.normal() / std::sqrt(inputs));
      codes_[i] = static_cast<signed char>(static_cast<int>(rng.below(255)) - 127);
    }
    for (int o = 0; o < outputs; ++o) {
      scales_.push_back(static_cast<float>(rng.uniform(0.5, 1.5) / 73 / std::sqrt(inputs)));
      bias_.push_back(static_cast<float>(rng.normal() / 4));
      sums_.push_back(0);
      for (int i = 0; i < inputs; ++i) sums_.back() += codes_[at(o, i)];
    }
  }
  OmniCudaDecodeMatrix plan() const {
    return {bytes_ ? static_cast<const void*>(codes_.data()) : halves_.data(),
            scales_.data(),
            sums_.data(),
            has_bias_ ? bias_.data() : nullptr,
            outputs_,
            inputs_,
            bytes_ ? kOmniCudaDecodeInt8 : kOmniCudaDecodeBf16};
  }
  Vector times(const Vector& x) const {
    Vector y(outputs_);
    for (int o = 0; o < outputs_; ++o) {
      y[o] = has_bias_ ? bias_[o] : 0;
      for (int i = 0; i < inputs_; ++i)
        y[o] +=
            x[i] * (bytes_ ? static_cast<double>(codes_[at(o, i)]) * scales_[o] : float(halves_[at(o, i)]));
    }
    return y;
  }

 private:
  std::size_t count() const { return static_cast<std::size_t>(outputs_) * inputs_; }
  std::size_t at(int o, int i) const { return static_cast<std::size_t>(o) * inputs_ + i; }

  int outputs_, inputs_;
  bool bytes_, has_bias_;
  AlignedMemory<__nv_bfloat16> halves_;
  AlignedMemory<signed char> codes_;
  std::vector<float> scales_, bias_;
  std::vector<std::int32_t> sums_;
};

std::vector<float> numbers(int count, double least, double most, CounterRng& rng) {
  std::vector<float> values(count);
  for (float& x : values) x = static_cast<float>(rng.uniform(least, most));
  return values;
}

struct Layer {
  std::vector<float> attention_norm, mlp_norm, query_norm, key_norm;
  Matrix qkv, attention_out, gate_up, down;
  Layer(bool bytes, CounterRng& rng)
      : attention_norm(numbers(kWidth, 0.5, 1.5, rng)),
        mlp_norm(numbers(kWidth, 0.5, 1.5, rng)),
        query_norm(numbers(kHeadSize, 0.5, 1.5, rng)),
        key_norm(numbers(kHeadSize, 0.5, 1.5, rng)),
        qkv(kAttended + 2 * kHeadSize, kWidth, bytes, true, rng),
        attention_out(kWidth, kAttended, bytes, false, rng),
        gate_up(2 * kInner, kWidth, bytes, true, rng),
        down(kWidth, kInner, bytes, false, rng) {}
};

struct Model {
  explicit Model(bool bytes, CounterRng rng = CounterRng(8))
      : tokens(numbers(kVocabulary * kWidth, -1, 1, rng)),
        slots(numbers(kSlots * kWidth, -1, 1, rng)),
        next_slots(numbers(kSlots * kWidth, -1, 1, rng)),
        final_norm(numbers(kWidth, 0.5, 1.5, rng)),
        head(kVocabulary, kWidth, bytes, false, rng) {
    for (int i = 0; i < kLayers; ++i) layers.emplace_back(bytes, rng);
  }
  std::vector<float> tokens, slots, next_slots, final_norm;
  Matrix head;
  std::vector<Layer> layers;
};

// The entry of a step: both places, tokens, which draw is whose, slots, runs, cosines, sines.
struct Entry {
  OmniCudaDecodeRow first[kRows], second[kRows];
  std::int32_t tokens[kRows], drawn_of_row[kRows], slots[kRows], next_slots[kRows];
  std::int32_t runs[2 * kOmniCudaMostRuns];
  float cosine[kRows][kHeadSize / 2], sine[kRows][kHeadSize / 2];
};
static_assert(sizeof(Entry) % sizeof(std::int32_t) == 0);

constexpr int kFirstAllowed = 10, kAllowed = 25;

// The first token of both rows is given; later ones are drawn. The second layer's cache begins elsewhere.
std::vector<Entry> entries() {
  std::vector<Entry> steps(kSteps);
  for (int s = 0; s < kSteps; ++s)
    for (int r = 0; r < kRows; ++r) {
      Entry& e = steps[s];
      e.first[r] = {r, s, r, 1, 0, r};
      e.second[r] = {1 - r, s, r, 1, 0, 1 - r};
      e.tokens[r] = s == 0 ? 3 + r : -1;
      e.drawn_of_row[r] = 0;
      e.slots[r] = (s + r) % kSlots;
      e.next_slots[r] = (s + r + 1) % kSlots;
      e.runs[0] = kFirstAllowed;
      e.runs[1] = kAllowed;
      for (int i = 0; i < kHeadSize / 2; ++i) {
        const double angle = (s + 1) * std::pow(100.0, -2.0 * i / kHeadSize) + r;
        e.cosine[r][i] = static_cast<float>(std::cos(angle));
        e.sine[r][i] = static_cast<float>(std::sin(angle));
      }
    }
  return steps;
}

// What a step computes in, whichever format the weights have.
class StepMemory {
 public:
  OmniCudaDecodeMemory plan(bool bytes) const {
    return {{residual_[0].data(), residual_[1].data()},
            normed_.data(),
            qkv_.data(),
            query_.data(),
            attended_.data(),
            delta_.data(),
            gate_up_.data(),
            hidden_.data(),
            bytes ? upper_.data() : nullptr,
            bytes ? lower_.data() : nullptr,
            row_scales_.data(),
            attention_.data(),
            logits_.data()};
  }

 private:
  static AlignedMemory<__nv_bfloat16> halves(int width) {
    return AlignedMemory<__nv_bfloat16>(static_cast<std::size_t>(kRows) * width);
  }
  static std::size_t attention_bytes() {
    OmniCudaDecodeAttention attention{};
    attention.row_count = kRows;
    attention.heads = kHeads;
    attention.key_value_heads = attention.maximum_splits = 1;
    attention.head_size = kHeadSize;
    attention.type = kOmniCudaBfloat16;
    return static_cast<std::size_t>(omni_cuda_decode_attention_workspace(&attention));
  }

  static constexpr std::size_t kResidual = kRows * kWidth;
  AlignedMemory<float> residual_[2] = {AlignedMemory<float>(kResidual), AlignedMemory<float>(kResidual)};
  AlignedMemory<float> row_scales_{kRows}, logits_{kRows * kVocabulary};
  AlignedMemory<__nv_bfloat16> normed_ = halves(kWidth), qkv_ = halves(kAttended + 2 * kHeadSize),
                               query_ = halves(kAttended), attended_ = halves(kAttended),
                               delta_ = halves(kWidth), gate_up_ = halves(2 * kInner),
                               hidden_ = halves(kInner);
  AlignedMemory<signed char> upper_{kRows * kAttended}, lower_{kRows * kAttended};
  AlignedMemory<char> attention_{attention_bytes()};
};

// One sample from the second row, guided by what it has more than the first; greedy.
class Drawing {
 public:
  Drawing() { settings_.penalty = 1; }

  OmniCudaTokenSampling sampling(const float* logits) {
    OmniCudaTokenSampling s{};
    s.logits = logits;
    s.condition_stride = s.row_stride = kVocabulary;
    s.batch = s.conditions = 1;
    s.vocabulary = kVocabulary;
    s.guidance = &guidance_;
    s.ranges = ranges_;
    s.rows = &settings_;
    s.tokens = &token_;
    s.statuses = &status_;
    s.log_probabilities = &log_probability_;
    s.filtered_log_probabilities = &filtered_;
    s.workspace = workspace_.data();
    return s;
  }
  OmniCudaDecodePublish publish(const std::int32_t* counter) {
    return {&token_, &status_, &log_probability_, counter, ring_.data(), 1};
  }
  const std::int32_t& token() const { return token_; }
  const std::vector<OmniCudaDecodeDrawn>& ring() const { return ring_; }

 private:
  OmniCudaSamplingRow settings_{};
  float guidance_ = 1.5f, log_probability_ = 0, filtered_ = 0;
  std::int32_t token_ = -1, status_ = -1;
  std::int32_t ranges_[2 * kOmniCudaMostRanges] = {kFirstAllowed, kAllowed};
  AlignedMemory<char> workspace_{
      static_cast<std::size_t>(omni_cuda_token_sampling_workspace(1, kVocabulary))};
  std::vector<OmniCudaDecodeDrawn> ring_ = std::vector<OmniCudaDecodeDrawn>(kSteps);
};

// The plan of a stretch of steps and all that it points to.
class Stretch {
 public:
  Stretch(const Model& model, bool bytes) {
    plan.begin = {reinterpret_cast<const std::int32_t*>(steps_.data()),
                  reinterpret_cast<std::int32_t*>(&current_), &counter_,
                  sizeof(Entry) / sizeof(std::int32_t)};
    plan.memory = memory_.plan(bytes);
    describe_model(model);
    describe_sizes();
    plan.cosine = current_.cosine[0];
    plan.sine = current_.sine[0];
    plan.sampling = drawing_.sampling(plan.memory.logits);
    plan.publish = drawing_.publish(&counter_);
  }
  Stretch(const Stretch&) = delete;
  Stretch& operator=(const Stretch&) = delete;

  OmniCudaDecodePlan plan{};
  const Drawing& drawing() const { return drawing_; }

 private:
  void describe_model(const Model& model) {
    for (int i = 0; i < 2 * kLayers; ++i)
      stores_.emplace_back(static_cast<std::size_t>(kRows) * kRoom * kHeadSize);
    for (int i = 0; i < kLayers; ++i) {
      const Layer& l = model.layers[i];
      layers_.push_back({l.attention_norm.data(), l.mlp_norm.data(), l.query_norm.data(), l.key_norm.data(),
                         l.qkv.plan(), l.attention_out.plan(), l.gate_up.plan(), l.down.plan(),
                         stores_[2 * i].data(), stores_[2 * i + 1].data(), nullptr, nullptr,
                         i == 0 ? current_.first : current_.second});
    }
    plan.embed = {model.tokens.data(),
                  model.slots.data(),
                  model.next_slots.data(),
                  current_.tokens,
                  &drawing_.token(),
                  current_.drawn_of_row,
                  current_.slots,
                  current_.next_slots,
                  plan.memory.residual[0],
                  kVocabulary,
                  kWidth,
                  kRows};
    plan.layers = layers_.data();
    plan.final_norm = model.final_norm.data();
    plan.head = model.head.plan();
    plan.runs = current_.runs;
  }

  void describe_sizes() {
    plan.width = kWidth, plan.inner = kInner, plan.room = kRoom;
    plan.layer_count = kLayers, plan.rows = kRows, plan.heads = kHeads, plan.key_value_heads = 1;
    plan.head_size = kHeadSize, plan.interleaved = 1, plan.centred = 1;
    plan.norm_epsilon = plan.head_norm_epsilon = static_cast<float>(kEpsilon);
    plan.keys_per_split = kRoom, plan.maximum_splits = 1;
  }

  std::vector<Entry> steps_ = entries();
  Entry current_{};
  std::int32_t counter_ = 0;
  StepMemory memory_;
  std::vector<AlignedMemory<__nv_bfloat16>> stores_;
  std::vector<OmniCudaDecodeLayer> layers_;
  Drawing drawing_;
};

struct Result {
  std::vector<float> logits;  // [steps, rows, vocabulary]
  std::vector<OmniCudaDecodeDrawn> drawn;
};

Result run_on_device(const Model& model, bool bytes) {
  Stretch stretch(model, bytes);
  float* const logits = stretch.plan.memory.logits;
  Result result;
  for (int i = 0; i < kSteps; ++i) {
    std::fill_n(logits, kRows * kVocabulary, NAN);
    EXPECT_EQ(omni_cuda_decode_launch(&stretch.plan, nullptr), 0);
    result.logits.insert(result.logits.end(), logits, logits + kRows * kVocabulary);
  }
  result.drawn = stretch.drawing().ring();
  return result;
}

Vector normed(const Vector& x, const std::vector<float>& weight, bool centred) {
  double mean = 0, squares = 0;
  if (centred)
    for (const double v : x) mean += v / static_cast<double>(x.size());
  for (const double v : x) squares += (v - mean) * (v - mean) / static_cast<double>(x.size());
  Vector y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = (x[i] - mean) / std::sqrt(squares + kEpsilon) * weight[i];
  return y;
}

void rotate(Vector& x, const float* cosine, const float* sine) {
  for (int i = 0; i < kHeadSize / 2; ++i) {
    const double a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cosine[i] - b * sine[i];
    x[2 * i + 1] = a * sine[i] + b * cosine[i];
  }
}

// One row in double precision, with all that it has seen.
class Truth {
 public:
  explicit Truth(const Model& model) : model_(model), keys_(kLayers), values_(kLayers) {}

  Vector logits(int token, const Entry& entry, int row) {
    Vector x(kWidth);
    for (int d = 0; d < kWidth; ++d)
      x[d] = static_cast<double>(model_.tokens[token * kWidth + d]) +
             model_.slots[entry.slots[row] * kWidth + d] +
             model_.next_slots[entry.next_slots[row] * kWidth + d];
    for (int i = 0; i < kLayers; ++i) {
      const Layer& layer = model_.layers[i];
      add(x, layer.attention_out.times(
                 attend(i, layer.qkv.times(normed(x, layer.attention_norm, true)), entry, row)));
      const Vector gates = layer.gate_up.times(normed(x, layer.mlp_norm, true));
      Vector hidden(kInner);
      for (int d = 0; d < kInner; ++d) hidden[d] = gates[d] / (1 + std::exp(-gates[d])) * gates[kInner + d];
      add(x, layer.down.times(hidden));
    }
    return model_.head.times(normed(x, model_.final_norm, true));
  }

 private:
  static void add(Vector& x, const Vector& delta) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += delta[i];
  }

  Vector attend(int number, const Vector& qkv, const Entry& entry, int row) {
    const Layer& layer = model_.layers[number];
    const auto head = [&](int i) {
      return Vector(qkv.begin() + static_cast<std::ptrdiff_t>(i) * kHeadSize,
                    qkv.begin() + static_cast<std::ptrdiff_t>(i + 1) * kHeadSize);
    };
    const auto turned = [&](int i, const std::vector<float>& weight) {
      Vector x = normed(head(i), weight, false);
      rotate(x, entry.cosine[row], entry.sine[row]);
      return x;
    };
    keys_[number].push_back(turned(kHeads, layer.key_norm));
    values_[number].push_back(head(kHeads + 1));
    Vector output;
    for (int h = 0; h < kHeads; ++h) {
      const Vector query = turned(h, layer.query_norm);
      Vector sum(kHeadSize, 0.0);
      double total = 0;
      for (std::size_t k = 0; k < keys_[number].size(); ++k) {
        double score = 0;
        for (int d = 0; d < kHeadSize; ++d) score += query[d] * keys_[number][k][d];
        const double weight = std::exp(score / std::sqrt(kHeadSize));
        total += weight;
        for (int d = 0; d < kHeadSize; ++d) sum[d] += weight * values_[number][k][d];
      }
      for (const double v : sum) output.push_back(v / total);
    }
    return output;
  }

  const Model& model_;
  std::vector<std::vector<Vector>> keys_, values_;
};

void expect_truth(bool bytes) {
  const Model model(bytes);
  const Result result = run_on_device(model, bytes);
  const std::vector<Entry> steps = entries();
  std::vector<Truth> rows(kRows, Truth(model));
  double squares = 0, total = 0;
  for (int s = 0; s < kSteps; ++s) {
    const float* step = result.logits.data() + static_cast<std::size_t>(s) * kRows * kVocabulary;
    for (int r = 0; r < kRows; ++r) {
      const Vector truth =
          rows[r].logits(s == 0 ? steps[0].tokens[r] : result.drawn[s - 1].token, steps[s], r);
      for (int t = 0; t < kVocabulary; ++t) {
        const float own = step[r * kVocabulary + t];
        if (t < kFirstAllowed || t >= kFirstAllowed + kAllowed) {
          EXPECT_TRUE(std::isnan(own)) << "token " << t << " is not allowed";
          continue;
        }
        squares += (own - truth[t]) * (own - truth[t]);
        total += truth[t] * truth[t];
      }
    }
    // Drawn: the best of row 0 + 1.5 (row 1 - row 0), as the device itself has them.
    int best = kFirstAllowed;
    const auto guided = [&](int t) { return step[t] + 1.5 * (step[kVocabulary + t] - step[t]); };
    for (int t = kFirstAllowed; t < kFirstAllowed + kAllowed; ++t)
      if (guided(t) > guided(best)) best = t;
    EXPECT_EQ(result.drawn[s].token, best);
    EXPECT_EQ(result.drawn[s].status, kOmniCudaSampled);
    EXPECT_EQ(result.drawn[s].step, s + 1);
  }
  ASSERT_GT(total, 0);
  EXPECT_LT(std::sqrt(squares / total), 0.03);  // activations have 8 bits of mantissa
}

TEST(DecodePlanShim, AStretchIsTheTransformersInHalves) { expect_truth(false); }
TEST(DecodePlanShim, AStretchIsTheTransformersInBytes) { expect_truth(true); }

// The same outputs from the hidden rows that the blocks left, and nothing else is touched.
TEST(DecodePlanShim, TheHeadAloneReadsWhatTheBlocksPutOut) {
  for (const bool bytes : {false, true}) {
    const Model model(bytes);
    Stretch stretch(model, bytes);
    float* const logits = stretch.plan.memory.logits;
    ASSERT_EQ(omni_cuda_decode_launch(&stretch.plan, nullptr), 0);
    const std::vector<float> whole(logits, logits + kRows * kVocabulary);
    std::fill_n(logits, kRows * kVocabulary, NAN);
    stretch.plan.layers = nullptr;
    stretch.plan.sampling.batch = 0;
    const std::int32_t drawn = stretch.drawing().token();
    ASSERT_EQ(omni_cuda_decode_launch(&stretch.plan, nullptr), 0);
    for (int r = 0; r < kRows; ++r)
      for (int t = 0; t < kAllowed; ++t) {
        const int at = r * kVocabulary + kFirstAllowed + t;
        EXPECT_EQ(logits[at], whole[static_cast<std::size_t>(at)]);
      }
    EXPECT_TRUE(std::isnan(logits[0]));
    EXPECT_EQ(stretch.drawing().token(), drawn);
    EXPECT_EQ(stretch.drawing().ring()[1].step, 0);
  }
}

TEST(DecodePlanShim, NothingIsLaunchedAfterAnError) {
  const Model model(false);
  Stretch stretch(model, false);
  stretch.plan.head.inputs = 12;  // has no kernel
  std::fill_n(stretch.plan.memory.logits, kRows * kVocabulary, 1.0f);
  EXPECT_EQ(omni_cuda_decode_launch(&stretch.plan, nullptr), kOmniCudaUnsupported);
  EXPECT_EQ(stretch.drawing().token(), -1);
  EXPECT_EQ(stretch.drawing().ring()[0].step, 0);
}

TEST(DecodePlanShim, TheOrderOfThreadsChangesNothing) {
  const Model model(false);
  std::vector<std::uint32_t> first;
  const auto run = [&] {
    const Result result = run_on_device(model, false);
    std::vector<std::uint32_t> bits(result.logits.size());
    std::memcpy(bits.data(), result.logits.data(), 4 * bits.size());
    return bits;
  };
  EXPECT_EQ(shim::for_every_order(run, first), "");
}

}  // namespace
}  // namespace omni::cuda
