// Milliseconds per generated token of one prompt with guidance (two sequences) on a transformer whose weights
// do not fit into the caches: the whole token, from embedding to the drawn one, in each precision. On a GPU also
// of a stretch, in which the device draws.
// peers/decode_token.py does the same in PyTorch; tools/bench.sh and tools/gpu-report.sh run both.
//   decode_token [--shape tiny|100m|200m|1b]
#include <ATen/Parallel.h>

#include <array>
#include <cstdio>
#include <optional>
#include <string>

#include "documents.h"
#include "kernels/timing.h"
#include "omni/core/error.h"
#include "omni/kernels/tensor.h"
#include "omni/kernels/token_sampling.h"
#include "omni/model/decode_session.h"
#include "shapes.h"

namespace {

using namespace omni;

constexpr std::int64_t kSequences = 2, kPrompt = 40, kTokens = 64;
constexpr double kGuidance = 3;

kernels::SamplingSettings sampling() { return {.top_k = 50, .top_p = 0.9}; }

std::int32_t draw(const std::vector<std::vector<float>>& logits, std::uint64_t step) {
  const std::array<std::span<const float>, kSequences> rows = {logits[0], logits[1]};
  const std::array<double, 1> guidance = {kGuidance};
  kernels::SamplingInput input;
  input.rows = rows;
  input.guidance = guidance;
  return kernels::sample_token(input, sampling(), {.step = step}).index;
}

// Both sequences after the prompt.
class Decoding {
 public:
  Decoding(const model::Transformer& transformer, const sequence::Document& document,
           const std::string& precision)
      : walker_(transformer.vocabulary(), transformer.layout(), sequence::plan_of(document)),
        session_(transformer, kSequences, 256, model::parse_decode_precision(precision)) {
    const std::vector<std::int32_t> given =
        sequence::document_tokens(document, transformer.vocabulary(), transformer.layout());
    std::vector<model::DecodeToken> prompt;
    for (std::int64_t i = 0; i < kPrompt; ++i) prompt.push_back(pass(given[static_cast<std::size_t>(i)]));
    session_.append(std::vector<std::vector<model::DecodeToken>>(kSequences, prompt));
  }

  bool has_stretches() const { return session_.longest_stretch() > 0; }

  void step() {
    const std::vector<std::int64_t> both = {0, 1};
    const sequence::AllowedTokens allowed = walker_.allowed();
    const auto logits = session_.logits(both, std::vector<sequence::AllowedTokens>(kSequences, allowed));
    const std::int32_t index = allowed.count() == 1 ? 0 : draw(logits, number_);
    ++number_;
    session_.append(std::vector<std::vector<model::DecodeToken>>(kSequences, {pass(allowed.token(index))}));
  }

  // Along the places of the first allowed tokens, whatever is drawn.
  void stretch(std::int64_t count) {
    model::DecodeStretch stretch{.sequences = {0, 1}, .choices = {}};
    for (std::int64_t i = 0; i < count; ++i) {
      const model::DecodeToken shown = pass(walker_.allowed().token(0));
      stretch.choices.push_back({.shown = {shown, shown},
                                 .allowed = walker_.allowed(),
                                 .guidance = {kGuidance},
                                 .sampling = sampling(),
                                 .key = {.step = number_++}});
    }
    ensure(session_.draw({&stretch, 1}).has_value(), "a stretch that the session refused: nothing to time");
  }

 private:
  // What the model is shown for a token.
  model::DecodeToken pass(std::int32_t token) {
    model::DecodeToken shown{token, walker_.place(), std::nullopt};
    walker_.advance(token);
    if (!walker_.finished()) shown.next_place = walker_.place();
    return shown;
  }

  sequence::GrammarWalker walker_;
  model::DecodeSession session_;
  std::uint64_t number_ = 0;
};

// Seconds per token.
template <class Work>
double seconds_per_token(const Work& work) {
  const double start = benchmark::seconds();
  work();
  return (benchmark::seconds() - start) / kTokens;
}

double decode(const model::Transformer& transformer, const sequence::Document& document,
              const std::string& precision) {
  Decoding decoding(transformer, document, precision);
  return seconds_per_token([&] {
    for (std::int64_t i = 0; i < kTokens; ++i) decoding.step();
  });
}

// Nothing where there are no stretches.
std::optional<double> decode_in_a_stretch(const model::Transformer& transformer,
                                          const sequence::Document& document, const std::string& precision) {
  Decoding decoding(transformer, document, precision);
  if (!decoding.has_stretches()) return std::nullopt;
  decoding.stretch(4);  // captures the graph
  return seconds_per_token([&] { decoding.stretch(kTokens); });
}

}  // namespace

int main(int count, char** arguments) {
  const bool gpu = benchmark::device().is_cuda();
  const benchmarks::Shape& shape =
      benchmarks::shape_of(count > 2 && std::string(arguments[1]) == "--shape" ? arguments[2] : "200m");
  model::Transformer transformer(shape.config(), benchmarks::vocabulary(), benchmarks::layout(), 1);
  transformer.to(benchmark::device());
  std::printf("decoding with guidance, %d threads\n", at::get_num_threads());
  CounterRng rng(3);
  const sequence::Document document = benchmarks::caption_to_shape(rng);
  for (const std::string precision : {"fp32", "bf16", "int8"}) {
    if (gpu) transformer.set_activation_type(precision == "fp32" ? at::kFloat : at::kBFloat16);
    decode(transformer, document, precision);  // packs the weights
    benchmark::Line("decode_token")
        .add("shape", std::string(shape.name))
        .add("program", std::string("omni"))
        .add("precision", precision)
        .add("parameters_million", 1e-6 * static_cast<double>(transformer.parameters().element_count()))
        .add("sequences", kSequences)
        .add("ms", 1e3 * decode(transformer, document, precision))
        .print();
    const std::optional<double> seconds = decode_in_a_stretch(transformer, document, precision);
    if (!seconds) continue;
    benchmark::Line("decode_stretch")
        .add("shape", std::string(shape.name))
        .add("program", std::string("omni"))
        .add("precision", precision)
        .add("sequences", kSequences)
        .add("ms", 1e3 * *seconds)
        .add("tokens_per_s", 1 / *seconds)
        .print();
  }
  return 0;
}
