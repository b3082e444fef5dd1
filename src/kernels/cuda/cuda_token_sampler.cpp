#include "omni/kernels/cuda_token_sampler.h"

#include <algorithm>
#include <cstring>

#include "cuda_draw_fault.h"
#include "cuda_launch.h"
#include "cuda_sampling_row.h"
#include "omni/core/error.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// A tensor on the device with the bytes of an array.
template <class T>
Tensor on_device(const std::vector<T>& values, at::ScalarType type, std::vector<std::int64_t> sizes,
                 const at::Device& device) {
  Tensor host = at::empty(sizes, type);
  std::memcpy(host.mutable_data_ptr(), values.data(), values.size() * sizeof(T));
  return host.to(device);
}

OmniCudaType type_of(const Tensor& logits) {
  switch (logits.scalar_type()) {
    case at::kFloat:
      return kOmniCudaFloat;
    case at::kBFloat16:
      return kOmniCudaBfloat16;
    case at::kHalf:
      return kOmniCudaFloat16;
    default:
      fail(ErrorKind::internal, "internal error: there is no sampling from ",
           c10::toString(logits.scalar_type()));
  }
}

}  // namespace

std::string CudaTokenSampler::refusal(const at::Device& device) {
  if (!device.is_cuda()) return "the device is no GPU";
  if (!cuda_plugin().status.loaded) return "the CUDA plug-in is not loaded: " + cuda_plugin().status.detail;
  return {};
}

CudaTokenSampler::CudaTokenSampler(const at::Device& device, std::int64_t vocabulary,
                                   std::span<const Row> rows, std::int64_t likely_count)
    : batch_(static_cast<std::int64_t>(rows.size())),
      vocabulary_(vocabulary),
      conditions_(rows.empty() ? 0 : static_cast<std::int64_t>(rows[0].guidance.size())),
      likely_count_(likely_count),
      device_(device) {
  ensure(refusal(device).empty(), refusal(device));
  ensure(batch_ > 0 && vocabulary > 0 && vocabulary <= token_rules::kMaximumRow && likely_count >= 0 &&
             likely_count <= kOmniCudaMostLikely,
         "a batch of token sampling with impossible sizes");
  std::vector<OmniCudaSamplingRow> settings;
  std::vector<float> guidance;
  const std::int64_t words = (vocabulary + 31) / 32;
  std::vector<std::uint32_t> seen(static_cast<std::size_t>(batch_ * words), 0);
  std::vector<std::vector<TokenRun>> allowed;
  for (std::int64_t b = 0; b < batch_; ++b) {
    const Row& row = rows[static_cast<std::size_t>(b)];
    validate(row.settings);
    ensure(static_cast<std::int64_t>(row.guidance.size()) == conditions_, "rows differ in their conditions");
    settings.push_back(cuda_sampling_row(row.settings, row.key));
    for (const double weight : row.guidance) guidance.push_back(static_cast<float>(weight));
    for (const std::int32_t token : row.seen)
      if (token >= 0 && token < vocabulary)
        seen[static_cast<std::size_t>(b * words + token / 32)] |= 1u << (token % 32);
    allowed.push_back(row.allowed);
  }
  rows_ = on_device(settings, at::kByte, {batch_ * static_cast<std::int64_t>(sizeof(OmniCudaSamplingRow))},
                    device);
  guidance_ = on_device(guidance, at::kFloat, {batch_, conditions_}, device);
  seen_ = on_device(seen, at::kInt, {batch_, words}, device);
  set_allowed(allowed);
  workspace_ = at::zeros({cuda_plugin().token_sampling_workspace(static_cast<std::int32_t>(batch_),
                                                                 static_cast<std::int32_t>(vocabulary))},
                         at::TensorOptions(at::kByte).device(device));
  const auto integers = at::TensorOptions(at::kInt).device(device),
             floats = at::TensorOptions(at::kFloat).device(device);
  tokens_ = at::full({batch_}, -1, integers);
  statuses_ = at::zeros({batch_}, integers);
  log_probabilities_ = at::zeros({batch_}, floats);
  filtered_log_probabilities_ = at::zeros({batch_}, floats);
  likely_tokens_ = at::full({batch_, likely_count_}, -1, integers);
  likely_log_probabilities_ = at::zeros({batch_, likely_count_}, floats);
}

void CudaTokenSampler::set_allowed(std::span<const std::vector<TokenRun>> allowed) {
  ensure(static_cast<std::int64_t>(allowed.size()) == batch_, "one list of allowed tokens per row");
  std::vector<CudaSamplingRanges> rows;
  for (const std::vector<TokenRun>& row : allowed) rows.push_back(cuda_sampling_ranges(row, vocabulary_));
  const Tensor ranges = on_device(rows, at::kInt, {batch_, kOmniCudaMostRanges, 2}, device_);
  // The address stays, for captured graphs.
  if (ranges_.defined())
    ranges_.copy_(ranges);
  else
    ranges_ = ranges;
}

const Tensor& CudaTokenSampler::sample(const Tensor& logits) {
  ensure(logits.dim() == 3 && logits.size(0) == conditions_ + 1 && logits.size(1) == batch_ &&
             logits.size(2) == vocabulary_ && logits.stride(2) == 1 && logits.device() == device_,
         "token sampling: logits of another shape or device");
  OmniCudaTokenSampling a{};
  a.logits = logits.const_data_ptr();
  a.condition_stride = logits.stride(0);
  a.row_stride = logits.stride(1);
  a.type = type_of(logits);
  a.batch = static_cast<std::int32_t>(batch_);
  a.vocabulary = static_cast<std::int32_t>(vocabulary_);
  a.conditions = static_cast<std::int32_t>(conditions_);
  a.guidance = guidance_.const_data_ptr<float>();
  a.ranges = ranges_.const_data_ptr<std::int32_t>();
  a.seen = reinterpret_cast<std::uint32_t*>(seen_.mutable_data_ptr<std::int32_t>());
  a.rows = static_cast<OmniCudaSamplingRow*>(rows_.mutable_data_ptr());
  a.likely_count = static_cast<std::int32_t>(likely_count_);
  a.tokens = tokens_.mutable_data_ptr<std::int32_t>();
  a.log_probabilities = log_probabilities_.mutable_data_ptr<float>();
  a.filtered_log_probabilities = filtered_log_probabilities_.mutable_data_ptr<float>();
  a.likely_tokens = likely_tokens_.mutable_data_ptr<std::int32_t>();
  a.likely_log_probabilities = likely_log_probabilities_.mutable_data_ptr<float>();
  a.statuses = statuses_.mutable_data_ptr<std::int32_t>();
  a.workspace = workspace_.mutable_data_ptr();
  const c10::DeviceGuard on(device_);
  const int error = cuda_plugin().token_sampling(&a, current_stream(device_));
  ensure(error == 0, "the GPU refused to sample: error ", error);
  return tokens_;
}

void CudaTokenSampler::check(std::span<const std::string> places) const {
  ensure(static_cast<std::int64_t>(places.size()) == batch_, "one place per row");
  const Tensor host = statuses_.cpu();
  const std::int32_t* statuses = host.const_data_ptr<std::int32_t>();
  for (std::int64_t b = 0; b < batch_; ++b)
    require_drawn(draw_fault(statuses[b]), places[static_cast<std::size_t>(b)]);
}

}  // namespace omni::kernels
