// Steps per second of decoding 64 sequences together, and where the time of a step goes. peers/train_step.py
// --decode does the same in PyTorch; tools/bench.sh runs both and prints the ratio.
//   decode_batch [--shape tiny|100m|200m|1b]
#include <ATen/Parallel.h>

#include <cstdio>
#include <string>
#include <vector>

#include "documents.h"
#include "kernels/timing.h"
#include "omni/kernels/tensor.h"
#include "omni/model/decode_session.h"
#include "operation_profile.h"
#include "shapes.h"

namespace {

using namespace omni;
using namespace omni::benchmarks;

constexpr std::int64_t kSequences = 64;
constexpr std::size_t kPrompt = 28, kTokens = 145;

struct Decoded {
  std::size_t steps = 0;
  double seconds = 0;
};

Decoded decode(const model::Transformer& transformer, const model::DecodePrecision& precision) {
  CounterRng rng(9);
  std::vector<sequence::Document> documents;
  std::vector<sequence::GrammarWalker> walkers;
  std::vector<std::vector<std::int32_t>> tokens;
  for (std::int64_t s = 0; s < kSequences; ++s) {
    documents.push_back(caption_to_shape(rng));
    walkers.emplace_back(transformer.vocabulary(), transformer.layout(), sequence::plan_of(documents.back()));
    tokens.push_back(
        sequence::document_tokens(documents.back(), transformer.vocabulary(), transformer.layout()));
  }
  model::DecodeSession session(transformer, kSequences, 256, precision);
  const double start = benchmark::seconds();
  Decoded decoded;
  for (std::size_t done = 0; done < kTokens; ++decoded.steps) {
    std::vector<std::vector<model::DecodeToken>> next(kSequences);
    std::vector<std::int64_t> which;
    std::vector<sequence::AllowedTokens> allowed;
    const std::size_t count = done == 0 ? kPrompt : 1;
    for (std::int64_t s = 0; s < kSequences; ++s) {
      for (std::size_t i = done; i < done + count && i < tokens[s].size(); ++i) {
        model::DecodeToken token{tokens[s][i], walkers[s].place(), std::nullopt};
        walkers[s].advance(token.token);
        if (!walkers[s].finished()) token.next_place = walkers[s].place();
        next[s].push_back(token);
      }
      if (walkers[s].finished()) continue;
      which.push_back(s);
      allowed.push_back(walkers[s].allowed());
    }
    session.append(next);
    session.logits(which, allowed);
    done += count;
  }
  decoded.seconds = benchmark::seconds() - start;
  return decoded;
}

}  // namespace

int main(int count, char** arguments) {
  const bool gpu = benchmark::device().is_cuda();
  const Shape& shape = shape_of(count > 2 && std::string(arguments[1]) == "--shape" ? arguments[2] : "tiny");
  model::Transformer transformer(shape.config(), benchmarks::vocabulary(), benchmarks::layout(), 1);
  transformer.to(benchmark::device());
  transformer.set_activation_type(at::kBFloat16);
  const model::DecodePrecision precision = model::parse_decode_precision(gpu ? "bf16" : "fp32");
  std::printf("decoding, %d threads\n", at::get_num_threads());
  decode(transformer, precision);
  const OperationProfile profile;
  const Decoded decoded = decode(transformer, precision);
  const auto steps = static_cast<double>(decoded.steps);
  benchmark::Line("decode_batch")
      .add("shape", std::string(shape.name))
      .add("program", std::string("omni"))
      .add("precision", std::string("bf16"))
      .add("sequences", kSequences)
      .add("steps_per_s", steps / decoded.seconds)
      .add("tokens_per_s", steps * kSequences / decoded.seconds)
      .print();
  profile.print("a decode step", 8, steps);
  return 0;
}
