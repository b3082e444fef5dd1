#include "attention_path.h"

#include <algorithm>
#include <array>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "attention_choice.h"
#include "attention_islands.h"
#include "cpu/packed_attention_kernels.h"
#include "cuda/cuda_attention.h"
#include "cudnn_attention.h"
#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/kernels/cuda_plugin.h"

namespace omni::kernels {
namespace {

using at::Tensor;

bool library_can(const AttentionSpans& spans) {
  for (const RowRange& island : spans.islands())
    if (kind_of(spans, island) == IslandKind::other) return false;
  return true;
}

constexpr std::array<const char*, 6> kPathNames = {"auto",      "kernel", "library",
                                                   "reference", "hopper", "cudnn"};

// One message per path and device type in the life of the program, however many threads attend.
void log_once(AttentionPath path, const Tensor& query, const std::string& reason) {
  static std::array<std::once_flag, 2 * kPathNames.size()> said;
  const std::size_t kind = static_cast<std::size_t>(path) + (query.is_cuda() ? kPathNames.size() : 0);
  std::call_once(said[kind], [&] {
    log_debug("attention on ", c10::DeviceTypeName(query.device().type()), ", ", query.scalar_type(),
              ", head size ", query.size(2), ": ", kPathNames[static_cast<std::size_t>(path)],
              " path, because ", reason);
  });
}

// Why a path cannot run; empty where it can.
std::string refusal_of(AttentionPath path, const Tensor& query, const Tensor& key, const Tensor& value,
                       const AttentionSpans& spans) {
  switch (path) {
    case AttentionPath::kernel:
      return kernel_refusal(query, key, value);
    case AttentionPath::hopper:
      return cuda_attention_refusal(query, key, value, CudaAttentionKernels::hopper);
    case AttentionPath::cudnn:
      return cudnn_refusal(query, spans);
    case AttentionPath::library:
      return library_can(spans) ? "" : "the library call cannot express these spans without a dense mask";
    default:
      return {};
  }
}

// The entry of the table of measurements for these tensors that can run; null where there is none.
const MeasuredPath* measured_path(const Tensor& query, const Tensor& key, const Tensor& value,
                                  const AttentionSpans& spans) {
  if (!query.is_cuda() || measured_paths().empty()) return nullptr;
  const auto documents = static_cast<std::int64_t>(spans.islands().size());
  const AttentionCase attention{describe_gpu(query.device().index()).major, query.size(2),
                                spans.rows() / std::max<std::int64_t>(1, documents),
                                holds_causal_documents(spans)};
  const MeasuredPath* const found = fitting_path(measured_paths(), attention);
  return found && refusal_of(found->path, query, key, value, spans).empty() ? found : nullptr;
}

}  // namespace

std::string kernel_refusal(const Tensor& query, const Tensor& key, const Tensor& value) {
  if (!query.device().is_cpu()) return cuda_attention_refusal(query, key, value);
  const std::int64_t head_size = query.size(-1);
  if (head_size == 0 || head_size % 16 != 0 || head_size > kWidestHead)
    return concat("head sizes must be multiples of 16 up to ", kWidestHead, ", not ", head_size);
  if (query.scalar_type() != at::kFloat && query.scalar_type() != at::kBFloat16)
    return concat("there is no kernel for ", c10::toString(query.scalar_type()));
  return {};
}

AttentionPath parse_attention_path(std::string_view name) {
  const auto found = std::find(kPathNames.begin(), kPathNames.end(), name);
  if (found == kPathNames.end())
    fail(ErrorKind::usage, "the attention path '", name,
         "' is not known. Choose auto, kernel, library, reference, hopper or cudnn");
  return static_cast<AttentionPath>(found - kPathNames.begin());
}

AttentionPath choose_attention_path(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const AttentionSpans& spans, AttentionPath wanted) {
  if (wanted != AttentionPath::automatic) {
    const std::string refusal = refusal_of(wanted, query, key, value, spans);
    if (!refusal.empty())
      fail(ErrorKind::usage, "attention: the path ", kPathNames[static_cast<std::size_t>(wanted)],
           " cannot run: ", refusal, ". Choose the path auto");
    log_once(wanted, query, "it was asked for");
    return wanted;
  }
  if (const MeasuredPath* const measured = measured_path(query, key, value, spans)) {
    log_once(measured->path, query, measured->evidence);
    return measured->path;
  }
  const std::string refusal = kernel_refusal(query, key, value);
  if (refusal.empty()) {
    log_once(AttentionPath::kernel, query,
             query.is_cuda() ? "there is a kernel for it, and no measurement speaks for another path"
                             : "there is a kernel for it");
    return AttentionPath::kernel;
  }
  if (library_can(spans)) {
    log_once(AttentionPath::library, query, refusal + ", and every document is causal or full");
    return AttentionPath::library;
  }
  log_once(AttentionPath::reference, query, refusal + ", and the library would need a dense mask");
  return AttentionPath::reference;
}

Tensor library_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                         const AttentionSpans& spans) {
  const std::int64_t group = query.size(1) / key.size(1);
  std::vector<Tensor> parts;
  for (const RowRange& island : spans.islands()) {
    const auto heads = [&](const Tensor& x, std::int64_t repeat) {
      const Tensor own = x.narrow(0, island.first, island.last - island.first).transpose(0, 1);
      return (repeat == 1 ? own : own.repeat_interleave(repeat, 0)).unsqueeze(0);
    };
    const bool causal = kind_of(spans, island) == IslandKind::causal;
    parts.push_back(at::scaled_dot_product_attention(heads(query, 1), heads(key, group), heads(value, group),
                                                     {}, 0.0, causal)
                        .squeeze(0)
                        .transpose(0, 1));
  }
  return parts.empty() ? at::zeros_like(query) : at::concat(parts, 0);
}

Tensor reference_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                           const AttentionSpans& spans) {
  const std::int64_t group = query.size(1) / key.size(1);
  const double scale = 1.0 / std::sqrt(static_cast<double>(query.size(2)));
  const auto type = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto bounds = [&](std::span<const std::int32_t> all, const RowRange& island) {
    Tensor own = at::empty({island.last - island.first, 1}, at::kInt);
    std::copy(all.begin() + island.first, all.begin() + island.last, own.mutable_data_ptr<std::int32_t>());
    return own.to(query.device());
  };
  std::vector<Tensor> parts;
  for (const RowRange& island : spans.islands()) {
    const std::int64_t length = island.last - island.first;
    const auto heads = [&](const Tensor& x, std::int64_t repeat) {
      return x.narrow(0, island.first, length).to(type).transpose(0, 1).repeat_interleave(repeat, 0);
    };
    const Tensor scores = at::matmul(heads(query, 1), heads(key, group).transpose(1, 2)) * scale;
    const Tensor keys = at::arange(island.first, island.last, query.options().dtype(at::kInt)).unsqueeze(0);
    const Tensor hidden =
        keys.lt(bounds(spans.key_first(), island)).logical_or(keys.ge(bounds(spans.key_last(), island)));
    // A row that sees nothing would be 0 / 0.
    const Tensor weights = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity())
                               .softmax(-1)
                               .masked_fill(hidden.all(1, true), 0.0);
    parts.push_back(at::matmul(weights, heads(value, group)).transpose(0, 1).to(query.scalar_type()));
  }
  return parts.empty() ? at::zeros_like(query) : at::concat(parts, 0);
}

}  // namespace omni::kernels
