#include "sample_memory.h"

#include <algorithm>
#include <filesystem>

#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/system_info.h"
#include "omni/core/text_format.h"
#include "omni/kernels/peak_memory.h"
#include "omni/model/bundle.h"
#include "omni/model/bundle_numbers.h"
#include "omni/model/decoding_memory.h"
#include "omni/model/panel_file.h"
#include "omni/sequence/segment_parts.h"

namespace omni::tools {
namespace {

constexpr double kProgram = 0.4e9;  // LibTorch, tokenizers and a mesh

std::string gigabytes(double bytes) { return with_decimals(1e-9 * bytes, 1) + " GB"; }

struct Memory {
  double free = 0;  // bytes
  const char* name = "memory";
  std::vector<const char*> precisions;  // those that may take less than another
};

double require(const Memory& memory, const std::string& model, const std::string& precision,
               const std::function<double(const std::string&)>& bytes) {
  const auto needed = [&](const std::string& name) { return kProgram + bytes(name); };
  if (needed(precision) <= memory.free) return memory.free - kProgram;
  std::string fitting;
  for (const char* name : memory.precisions)
    if (needed(name) <= memory.free)
      fitting += concat(" --precision ", name, " takes ", gigabytes(needed(name)), ".");
  if (fitting.empty()) {
    const char* least =
        *std::min_element(memory.precisions.begin(), memory.precisions.end(),
                          [&](const char* a, const char* b) { return needed(a) < needed(b); });
    if (needed(least) < needed(precision))
      fitting = concat(" Even --precision ", least, " would take ", gigabytes(needed(least)), ".");
    fitting += " Close other programs that use it.";
  }
  fail(ErrorKind::out_of_memory, "sampling with ", model, " in ", precision, " takes about ",
       gigabytes(needed(precision)), " of ", memory.name, ", and ", gigabytes(memory.free), " are free.",
       fitting);
}

}  // namespace

void require_memory(const SampleArguments& arguments, const generation::GenerationRequest& request,
                    const std::string& precision) {
  std::error_code absent;  // which the reader tells of
  const auto size =
      std::filesystem::file_size(std::filesystem::path(arguments.model) / "model.safetensors", absent);
  if (absent || size < model::kSmallestMappedFile) return;
  const model::Bundle shapes = model::load_bundle_shapes(arguments.model);
  std::vector<sequence::Modality> modalities;
  for (const sequence::TaskSegment& segment : request.task.segments) modalities.push_back(segment.modality);
  const std::int64_t capacity =
      sequence::SegmentParts(shapes.vocabulary(), shapes.layout()).document_capacity(modalities);
  const std::vector<double> weights = request.guidance.weights_for(request.task);
  const bool guided = std::any_of(weights.begin(), weights.end(), [](double weight) { return weight != 1; });
  const std::int64_t rows = guided ? static_cast<std::int64_t>(weights.size()) + 1 : 1;
  const std::int64_t sequences = std::min(arguments.batch, rows * request.count * request.best_of);
  const auto tower = static_cast<double>(shapes.text_tower ? shapes.text_tower->bytes() : 0);
  const model::WeightStorage storage{.mapped = true, .of_bf16 = model::parameters_of_bf16(arguments.model)};
  require_memory(arguments.model, precision, [&](const std::string& name) {
    return tower + static_cast<double>(model::decoding_memory(*shapes.transformer,
                                                              model::parse_decode_precision(name),
                                                              std::max(rows, sequences), capacity, storage)
                                           .total());
  });
}

double require_memory(const std::string& model, const std::string& precision,
                      const std::function<double(const std::string&)>& bytes) {
  return require({.free = static_cast<double>(available_memory_bytes()), .precisions = {"bf16", "int8"}},
                 model, precision, bytes);
}

double require_gpu_memory(const std::string& model, const std::string& precision,
                          const std::function<double(const std::string&)>& bytes) {
  return require({.free = 1e9 * kernels::free_device_gigabytes(at::Device(at::kCUDA, 0)),
                  .name = "the GPU's memory",
                  .precisions = {"bf16", "int8"}},
                 model, precision, bytes);
}

void tell_peak_memory(bool on_gpu) {
  const std::string process = gigabytes(1e9 * kernels::peak_gigabytes(at::kCPU));
  if (!on_gpu) return log_info("peak memory: ", process);
  log_info("peak memory: ", process, ", on the GPU ",
           gigabytes(1e9 * kernels::peak_gigabytes(at::Device(at::kCUDA, 0))));
}

}  // namespace omni::tools
