// A decoder of Qwen3-0.6B's shape with random weights, one sequence: how long a prompt of 1,024 tokens takes up to the
// logits of its last one, and each of 512 tokens after a short prompt, drawn greedily among the whole vocabulary, in fp32,
// bf16 and int8. peers/qwen3.py does the same with the transformers package; tools/bench.sh runs both.
// The weights are numbers of bf16, as the published ones are: decoding reads 12 bits of each, in fp32 too. `numbers=fp32`: of
// other numbers, 32 bits of each.
// Beside them the prompt through the layers as training has them: packed attention and plain matrix products.
//   qwen3 FOLDER [tokens] [prompt] [timed] [precision]    FOLDER: where the packed weights go, 5 GB; timed: so many tokens,
//                                                         those in the middle, stand for all, since the time of a token
//                                                         grows evenly; precision: that one alone, without training's layers
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/memory_read.h"
#include "kernels/timing.h"
#include "omni/core/random.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/kernels/peak_memory.h"
#include "omni/kernels/tensor.h"
#include "omni/model/decode_session.h"
#include "omni/model/panel_file.h"
#include "omni/model/qwen3.h"

namespace {

using namespace omni;

constexpr std::int64_t kShortPrompt = 16;
constexpr int kRuns = 3;

std::vector<model::DecodeToken> some_tokens(const model::Transformer& model, std::int64_t first,
                                            std::int64_t count) {
  CounterRng rng(7, static_cast<std::uint64_t>(first));
  const auto codes = static_cast<std::uint64_t>(model.vocabulary().size() - sequence::kSpecialCount);
  std::vector<model::DecodeToken> tokens;
  for (std::int64_t i = 0; i < count; ++i) {
    sequence::TokenPlace place;
    place.modality = sequence::Modality::text;
    place.offset = static_cast<std::int32_t>(first + i);
    tokens.push_back({sequence::kSpecialCount + static_cast<std::int32_t>(rng.below(codes)), place, {}});
  }
  return tokens;
}

// The likeliest of all tokens.
std::int32_t draw(const model::DecodeSession& session, const model::Transformer& model) {
  sequence::AllowedTokens all;
  all.add(sequence::kSpecialCount, model.vocabulary().size() - sequence::kSpecialCount);
  const std::vector<float> logits =
      session.logits(std::vector<std::int64_t>{0}, std::vector<sequence::AllowedTokens>{all})[0];
  return sequence::kSpecialCount +
         static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

double prefill(const model::Transformer& model, const model::DecodePrecision& precision,
               std::int64_t tokens) {
  model::DecodeSession session(model, 1, tokens, precision);
  const std::vector<model::DecodePrompt> prompt = {{.tokens = some_tokens(model, 0, tokens)}};
  const double start = benchmark::seconds();
  session.prefill(prompt);
  (void)draw(session, model);
  return benchmark::seconds() - start;
}

struct Length {
  std::int64_t tokens = 512, prompt = 1024, timed = 512;
};

// Seconds of a token, the mean of those that are timed: the cache grows meanwhile.
double decode(const model::Transformer& model, const model::DecodePrecision& precision,
              const Length& length) {
  const std::int64_t before = kShortPrompt + (length.tokens - length.timed) / 2;
  model::DecodeSession session(model, 1, kShortPrompt + length.tokens, precision);
  session.prefill(std::vector<model::DecodePrompt>{{.tokens = some_tokens(model, 0, before)}});
  const double start = benchmark::seconds();
  for (std::int64_t i = 0; i < length.timed; ++i) {
    std::vector<model::DecodeToken> next = some_tokens(model, before + i, 1);
    next[0].token = draw(session, model);
    session.append(std::vector<std::vector<model::DecodeToken>>{next});
  }
  return (benchmark::seconds() - start) / static_cast<double>(length.timed);
}

// Bytes of a weight that a token reads.
double bytes_each(kernels::DecodeFormat format, bool of_bf16) {
  return format == kernels::DecodeFormat::int8 ? 1 : of_bf16 ? 1.5 : 4;
}

void measure(const std::filesystem::path& folder, const std::string& name, const Length& length,
             bool of_bf16 = true) {
  const model::Qwen3Config config;
  const model::DecodePrecision precision = model::parse_decode_precision(name);
  const std::filesystem::path file =
      folder / (of_bf16 ? "qwen3.safetensors" : "qwen3_fp32.safetensors");  // stands for the public one
  if (!std::filesystem::exists(file)) nn::write_tensors(file, {{"nothing", at::zeros({1})}});
  const auto transformer =
      model::map_transformer({.files = {file},
                              .format = precision.weights,
                              .config = model::transformer_config(config),
                              .vocabulary = model::vocabulary(config),
                              .layout = {},
                              .values =
                                  [of_bf16](const std::string&, at::IntArrayRef shape) {
                                    const at::Tensor numbers = at::randn(shape).mul_(0.02);
                                    return of_bf16 ? numbers.to(at::kBFloat16).to(at::kFloat) : numbers;
                                  },
                              .changed = {}});
  const double each = decode(*transformer, precision, length);
  // Tied: the embedding is read as the head.
  const double bytes =
      static_cast<double>(transformer->parameters().element_count()) * bytes_each(precision.weights, of_bf16);
  double whole = prefill(*transformer, precision, length.prompt);
  for (int run = 1; run < kRuns; ++run)
    whole = std::min(whole, prefill(*transformer, precision, length.prompt));
  benchmark::Line("qwen3")
      .add("program", std::string("omni"))
      .add("precision", name)
      .add("numbers", std::string(of_bf16 ? "bf16" : "fp32"))
      .add("tokens", length.tokens)
      .add("timed", length.timed)
      .add("ms", 1e3 * each)
      .add("tokens_per_s", 1 / each)
      .add("share_of_read", bytes / benchmark::read_rate() / each)
      .add("prompt", length.prompt)
      .add("prefill_s", whole)
      .add("prefill_tokens_per_s", static_cast<double>(length.prompt) / whole)
      .add("peak_gb", kernels::peak_gigabytes(at::kCPU))
      .print();
}

// The layers alone, over a vocabulary that takes no time: as decoding passes a prompt through them, and as training does.
void compare_products(const std::string& name, std::int64_t prompt) {
  model::Qwen3Config config;
  config.vocabulary = 64;
  model::Transformer transformer(model::transformer_config(config), model::vocabulary(config), {}, 1);
  transformer.set_activation_type(name == "fp32" ? at::kFloat : at::kBFloat16);
  const std::vector<model::DecodeToken> tokens = some_tokens(transformer, 0, prompt);
  sequence::PackedSequence packed;
  packed.document_starts = {0, prompt};
  for (const model::DecodeToken& token : tokens) {
    packed.tokens.push_back(token.token);
    packed.streams.push_back(sequence::Modality::text);
    packed.offsets.push_back(token.place.offset);
    for (auto* zeros : {&packed.segments, &packed.rows, &packed.columns, &packed.slots}) zeros->push_back(0);
  }
  const std::vector<double> seconds =
      benchmark::fastest({[&] { prefill(transformer, model::parse_decode_precision(name), prompt); },
                          [&] { (void)transformer.logits(packed); }},
                         kRuns);
  benchmark::Line("qwen3_prompt")
      .add("precision", name)
      .add("prompt", prompt)
      .add("decoding_s", seconds[0])
      .add("products_s", seconds[1])
      .add("ratio", seconds[0] / seconds[1])
      .print();
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2 || !benchmark::cpu_only("a decoder of Qwen3's shape")) return count < 2 ? 2 : 0;
  const c10::NoGradGuard
      no_gradients;  // copies of weights in other types go by versions, which inference tensors lack
  kernels::keep_freed_memory();
  const auto given = [&](int place, std::int64_t otherwise) -> std::int64_t {
    return count > place ? std::max(1, std::atoi(arguments[place])) : otherwise;
  };
  Length length;
  length.tokens = given(2, length.tokens);
  length.prompt = given(3, length.prompt);
  length.timed = std::min(length.tokens, given(4, length.tokens));
  std::printf("a decoder of Qwen3-0.6B's shape, %d threads\n", at::get_num_threads());
  if (count > 5) {
    measure(arguments[1], arguments[5], length);
    return 0;
  }
  for (const char* precision : {"fp32", "bf16", "int8"}) measure(arguments[1], precision, length);
  measure(arguments[1], "fp32", length, /*of_bf16=*/false);
  for (const char* precision : {"fp32", "bf16"}) compare_products(precision, length.prompt);
  return 0;
}
