// Milliseconds per code of Cube3D's GPT at the size of v0.5 with random weights and guidance on (two sequences), in
// bf16 and int8, as a share of a plain read of the weights that a code needs; and how long it takes from the packed
// weights' file, once it is in the page cache, to the first code. peers/cube3d_gpt.py does the same in PyTorch;
// tools/bench.sh runs both.
//   cube3d_gpt FOLDER [codes]    FOLDER: where the packed weights go, 5.5 GB
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/memory_read.h"
#include "kernels/timing.h"
#include "omni/generation/cube3d_program.h"
#include "omni/kernels/decode_linear.h"
#include "omni/kernels/peak_memory.h"
#include "omni/kernels/tensor.h"
#include "omni/model/panel_file.h"

namespace {

using namespace omni;

constexpr std::int64_t kPrompt = 78;  // 77 of text, one of the box
constexpr int kRuns = 3;

model::MappedWeights random_weights(const model::Cube3dGptConfig& config, const std::filesystem::path& folder,
                                    kernels::DecodeFormat format) {
  const std::filesystem::path file = folder / "cube3d_gpt.safetensors";  // stands for the public one
  if (!std::filesystem::exists(file)) nn::write_tensors(file, {{"nothing", at::zeros({1})}});
  return {.files = {file},
          .format = format,
          .config = model::transformer_config(config),
          .vocabulary = model::vocabulary(config),
          .layout = {},
          .values = [](const std::string&, at::IntArrayRef shape) { return at::randn(shape).mul_(0.02); },
          .changed = {"embedding.weight"}};
}

// What one code reads of the weights: those of the shape's stream, and the head. Of bf16 numbers twelve bits each.
double bytes_per_code(const model::Cube3dGptConfig& config, kernels::DecodeFormat format) {
  const std::int64_t width = config.width;
  double bytes = 0;
  const auto add = [&](std::int64_t outputs, std::int64_t inputs) {
    bytes += static_cast<double>(kernels::panel_shapes(outputs, inputs, format).panels.nbytes());
  };
  for (std::int64_t i = 0; i < config.dual_layers + config.single_layers; ++i) {
    add(3 * width, width);
    add(width, width);
    add(8 * width, width);
    add(width, 4 * width);
  }
  add(config.shape_codes, width);
  return format == kernels::DecodeFormat::bf16 ? 0.75 * bytes : bytes;
}

struct Times {
  double first = std::numeric_limits<double>::infinity();  // seconds to the first code
  double each = std::numeric_limits<double>::infinity();   // of the codes after it, in the middle
};

Times sample(const model::Cube3dGptConfig& config, const model::Transformer& transformer,
             const model::DecodePrecision& precision, std::int64_t codes) {
  const generation::Cube3dSampling sampling{.codes = codes, .sampling = {.top_p = 0.9}};
  const at::Tensor prompts = at::randn({2, kPrompt, config.width});
  std::vector<std::unique_ptr<generation::TokenProgram>> programs;
  programs.push_back(
      std::make_unique<generation::Cube3dProgram>(config, prompts[0], prompts[1], sampling, 0));
  Times times;
  const double start = benchmark::seconds();
  std::vector<double> after;  // that a code was there
  const auto on_tokens = [&](std::int64_t) { after.push_back(benchmark::seconds()); };
  generation::run_programs(transformer, programs, {.precision = precision, .on_tokens = on_tokens});
  times.first = after.front() - start;
  std::adjacent_difference(after.begin(), after.end(), after.begin());
  std::nth_element(after.begin() + 1, after.begin() + 1 + (after.end() - after.begin() - 1) / 2, after.end());
  times.each = after[1 + (after.size() - 1) / 2];
  return times;
}

void measure(const std::filesystem::path& folder, const std::string& name, std::int64_t codes) {
  const model::Cube3dGptConfig config;
  const model::DecodePrecision precision = model::parse_decode_precision(name);
  const model::MappedWeights weights = random_weights(config, folder, precision.weights);
  const double begun = benchmark::seconds();
  (void)model::map_transformer(weights);
  const double made = benchmark::seconds();
  const auto transformer = model::map_transformer(weights);
  const double opened = benchmark::seconds() - made;
  const double bytes = bytes_per_code(config, precision.weights);
  Times best;
  double rate = 0;
  for (int run = 0; run < kRuns; ++run) {
    const Times times = sample(config, *transformer, precision, codes);
    best.first = std::min(best.first, times.first);
    best.each = std::min(best.each, times.each);
    rate = std::max(rate, benchmark::read_rate());
  }
  benchmark::Line("cube3d_gpt")
      .add("program", std::string("omni"))
      .add("precision", name)
      .add("ms", 1e3 * best.each)
      .add("codes_per_s", 1 / best.each)
      .add("share_of_read", bytes / rate / best.each)
      .add("read_gb_per_s", 1e-9 * rate)
      .add("pack_s", made - begun)
      .add("open_s", opened)
      .add("first_code_s", opened + best.first)
      .add("peak_gb", kernels::peak_gigabytes(at::kCPU))
      .print();
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2 || !benchmark::cpu_only("Cube3D's GPT")) return count < 2 ? 2 : 0;
  const c10::InferenceMode no_gradients;
  std::printf("Cube3D's GPT with guidance, %d threads\n", at::get_num_threads());
  for (const char* precision : {"bf16", "int8"})
    measure(arguments[1], precision, count > 2 ? std::max(2, std::atoi(arguments[2])) : 32);
  return 0;
}
