// Milliseconds per generated token of one prompt with guidance (two sequences) on a transformer whose weights
// do not fit into the caches: the whole token, from embedding to the drawn one, in each precision.
// peers/decode_token.py does the same in PyTorch; tools/bench.sh and tools/gpu-report.sh run both.
//   decode_token [--shape tiny|100m|200m|1b]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <array>
#include <cstdio>
#include <string>

#include "documents.h"
#include "kernels/timing.h"
#include "omni/kernels/token_sampling.h"
#include "omni/model/decode_session.h"
#include "shapes.h"

namespace {

using namespace omni;

constexpr std::int64_t kSequences = 2, kPrompt = 40, kTokens = 64;

std::int32_t draw(const std::vector<std::vector<float>>& logits, std::uint64_t step) {
  const std::array<std::span<const float>, kSequences> rows = {logits[0], logits[1]};
  const std::array<double, 1> guidance = {3.0};
  kernels::SamplingInput input;
  input.rows = rows;
  input.guidance = guidance;
  return kernels::sample_token(input, {.top_k = 50, .top_p = 0.9}, {.step = step}).index;
}

// Seconds per token after the prompt.
double decode(const model::Transformer& transformer, const sequence::Document& document,
              const std::string& precision) {
  const std::vector<std::int32_t> given =
      sequence::document_tokens(document, transformer.vocabulary(), transformer.layout());
  sequence::GrammarWalker walker(transformer.vocabulary(), transformer.layout(), sequence::plan_of(document));
  model::DecodeSession session(transformer, kSequences, 256, model::parse_decode_precision(precision));
  const auto show = [&](std::int32_t token, std::vector<model::DecodeToken>& shown) {
    model::DecodeToken next{token, walker.place(), std::nullopt};
    walker.advance(token);
    if (!walker.finished()) next.next_place = walker.place();
    shown.push_back(next);
  };
  std::vector<model::DecodeToken> prompt;
  for (std::int64_t i = 0; i < kPrompt; ++i) show(given[i], prompt);
  session.append(std::vector<std::vector<model::DecodeToken>>(kSequences, prompt));
  const std::vector<std::int64_t> both = {0, 1};
  const double start = benchmark::seconds();
  for (std::int64_t i = 0; i < kTokens; ++i) {
    const sequence::AllowedTokens allowed = walker.allowed();
    const auto logits = session.logits(both, std::vector<sequence::AllowedTokens>(kSequences, allowed));
    std::vector<model::DecodeToken> shown;
    show(allowed.token(allowed.count() == 1 ? 0 : draw(logits, static_cast<std::uint64_t>(i))), shown);
    session.append(std::vector<std::vector<model::DecodeToken>>(kSequences, shown));
  }
  return (benchmark::seconds() - start) / kTokens;
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
  }
  return 0;
}
