// Milliseconds per generated token of one prompt with guidance (two sequences) on a transformer whose weights
// do not fit into the caches: the whole token, from embedding to the drawn one, in each precision.
// peers/decode_token.py does the same in PyTorch; tools/bench.sh runs both and prints the ratio.
//   decode_token [width] [blocks] [heads]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "documents.h"
#include "omni/kernels/token_sampling.h"
#include "omni/model/decode_session.h"

namespace {

using namespace omni;

constexpr std::int64_t kSequences = 2, kPrompt = 40, kTokens = 64;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

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
              const char* precision) {
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
  const double start = seconds();
  for (std::int64_t i = 0; i < kTokens; ++i) {
    const sequence::AllowedTokens allowed = walker.allowed();
    const auto logits = session.logits(both, std::vector<sequence::AllowedTokens>(kSequences, allowed));
    std::vector<model::DecodeToken> shown;
    show(allowed.token(allowed.count() == 1 ? 0 : draw(logits, static_cast<std::uint64_t>(i))), shown);
    session.append(std::vector<std::vector<model::DecodeToken>>(kSequences, shown));
  }
  return (seconds() - start) / kTokens;
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, long fallback) { return argc > i ? std::atol(argv[i]) : fallback; };
  model::TransformerConfig config;
  config.width = argument(1, 1024);
  config.single_blocks = argument(2, 16);
  config.heads = argument(3, 16);
  const sequence::Vocabulary vocabulary = benchmarks::vocabulary();
  const model::Transformer transformer(config, vocabulary, benchmarks::layout(), 1);
  std::printf("%lld parameters, %lld sequences, %d threads\n",
              static_cast<long long>(transformer.parameters().element_count()),
              static_cast<long long>(kSequences), at::get_num_threads());
  CounterRng rng(3);
  const sequence::Document document = benchmarks::caption_to_shape(rng);
  for (const char* precision : {"fp32", "bf16", "int8"}) {
    decode(transformer, document, precision);  // packs the weights
    std::printf("%s: %.2f ms a token\n", precision, decode(transformer, document, precision) * 1e3);
  }
}
