// LibTorch's operations on the host GPU: the processor's own, over the same bytes. As on a real GPU, an
// operation that is given tensors of both is an error.
#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <torch/library.h>

#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <tuple>

#include "device_memory.h"
#include "recording.h"

namespace omni::host_gpu {
namespace {

using at::Tensor;
using c10::IValue;

// A tensor of the processor over the bytes of one of the host GPU.
Tensor seen_by_host(const Tensor& x) {
  if (!x.defined() || !x.is_cuda()) return x;
  const auto options = x.options().device(at::kCPU).requires_grad(false);
  if (x.numel() == 0) return at::empty_strided(x.sizes(), x.strides(), options);
  return at::for_blob(host_view(x.const_data_ptr()), x.sizes())
      .strides(x.strides())
      .options(options)
      .make_tensor();
}

Tensor on_device(const Tensor& x) {
  if (!x.defined() || x.is_cuda()) return x;
  const Tensor copy = at::empty_strided(x.sizes(), x.strides(), x.options().device(at::kCUDA));
  if (x.numel() == 0) return copy;
  TORCH_CHECK(!is_device_pointer(x.const_data_ptr()), "host GPU: a result that is a device pointer");
  std::memcpy(host_view(copy.mutable_data_ptr()), x.const_data_ptr(), copy.storage().nbytes());
  return copy;
}

IValue argument_for_host(const IValue& value, const c10::OperatorHandle& op) {
  const auto one = [&](const Tensor& x) {
    TORCH_CHECK(!x.defined() || x.is_cuda() || x.dim() == 0,
                "Expected all tensors to be on the same device, but ", op.operator_name(),
                " got tensors of cuda:0 and cpu");
    return seen_by_host(x);
  };
  if (value.isTensor()) return one(value.toTensor());
  if (value.isTensorList()) {
    c10::List<Tensor> list;
    for (const Tensor& x : value.toTensorVector()) list.push_back(one(x));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> list;
    for (const std::optional<Tensor>& x : value.toOptionalTensorVector())
      list.push_back(x ? std::optional<Tensor>(one(*x)) : std::nullopt);
    return list;
  }
  if (value.isDevice()) return at::Device(at::kCPU);
  return value;
}

IValue result_on_device(const IValue& value) {
  if (value.isTensor()) return on_device(value.toTensor());
  if (!value.isTensorList()) return value;
  c10::List<Tensor> list;
  for (const Tensor& x : value.toTensorVector()) list.push_back(on_device(x));
  return list;
}

// The argument that an operation writes to and returns, by what its schema says of aliases.
const IValue* written_argument(const c10::FunctionSchema& schema, std::size_t result,
                               const std::vector<IValue>& given) {
  const auto* alias = schema.returns()[result].alias_info();
  if (!alias || !alias->isWrite()) return nullptr;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto* own = schema.arguments()[i].alias_info();
    if (own && *own == *alias) return &given[i];
  }
  return nullptr;
}

// An output that was given empty and grew.
void take_size(const Tensor& output, const Tensor& on_host) {
  if (output.sizes() == on_host.sizes()) return;
  const Tensor grown = on_device(on_host);
  output.unsafeGetTensorImpl()->set_storage_keep_dtype(grown.storage());
  output.unsafeGetTensorImpl()->set_sizes_and_strides(grown.sizes(), grown.strides());
}

std::atomic<std::int64_t> uploads{0}, reads{0};

// Whether the host has to wait before it can go on: for a number, or for how much there is.
bool waits(const c10::OperatorHandle& op) {
  const c10::FunctionSchema& schema = op.schema();
  const std::string& name = schema.name();
  if (name == "aten::nonzero" || name == "aten::masked_select" || name.find("unique") != std::string::npos)
    return true;
  if (schema.returns().empty()) return false;
  const auto type = schema.returns()[0].type();
  return type->isSubtypeOf(*c10::NumberType::get()) || type->isSubtypeOf(*c10::BoolType::get());
}

// The operation that was just done, for a graph: the same over the same memory. What it made anew goes where it was made.
void remember(const c10::OperatorHandle& op, const std::vector<IValue>& given,
              const std::vector<Tensor>& made) {
  std::vector<IValue> arguments;
  for (const IValue& value : given) {
    IValue own = argument_for_host(value, op);
    // A number that the host gives stays what it is now.
    if (own.isTensor() && value.toTensor().defined() && !value.toTensor().is_cuda()) {
      TORCH_CHECK(op.schema().name() != "aten::where" && op.schema().name() != "aten::cat",
                  "host GPU: a number on the host, which is copied, while a graph is recorded");
      own = value.toTensor().clone();
    }
    arguments.push_back(std::move(own));
  }
  struct Target {
    void* memory = nullptr;
    std::size_t bytes = 0;
  };
  std::vector<Target> targets;
  for (const Tensor& x : made)
    targets.push_back(x.defined() && x.numel() > 0
                          ? Target{host_view(x.mutable_data_ptr()), x.storage().nbytes()}
                          : Target{});
  note_operation([op, arguments, targets] {
    torch::jit::Stack stack(arguments.begin(), arguments.end());
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &stack);
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (targets[i].memory == nullptr) continue;
      const Tensor result = stack[stack.size() - targets.size() + i].toTensor();
      TORCH_CHECK(result.storage().nbytes() >= targets[i].bytes, "host GPU: a result of another size");
      std::memcpy(targets[i].memory, result.const_data_ptr(), targets[i].bytes);
    }
  });
}

void run_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  const auto taken = torch::jit::last(stack, schema.arguments().size());
  const std::vector<IValue> given(taken.begin(), taken.end());
  if (waits(op)) {
    refuse_while_recording("the host waits for a number or a size");
    ++reads;
  }
  torch::jit::drop(stack, given.size());
  // Kept until the results are taken: of two outputs LibTorch gives references into the arguments that it drops.
  std::vector<IValue> on_host;
  for (const IValue& value : given) on_host.push_back(argument_for_host(value, op));
  stack->insert(stack->end(), on_host.begin(), on_host.end());
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  const std::size_t count = schema.returns().size(), first = stack->size() - count;
  std::vector<Tensor> made(count);  // on the device
  for (std::size_t i = 0; i < count; ++i) {
    IValue& result = (*stack)[first + i];
    const IValue* written = written_argument(schema, i, given);
    if (written && written->isTensor()) {
      take_size(written->toTensor(), result.toTensor());
      result = *written;
    } else {
      if (recording())
        TORCH_CHECK(!result.isTensorList(), "host GPU: a list of results while a graph is recorded");
      result = result_on_device(result);
      if (result.isTensor()) made[i] = result.toTensor();
    }
  }
  if (recording()) remember(op, given, made);
}

Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<at::Layout> /*layout*/,
             std::optional<at::Device> /*device*/, std::optional<bool> /*pinned*/,
             std::optional<at::MemoryFormat> format) {
  return Tensor(at::detail::empty_generic(size, c10::GetAllocator(at::kCUDA),
                                          c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                          type.value_or(at::kFloat), format));
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> type,
                     std::optional<at::Layout> /*layout*/, std::optional<at::Device> /*device*/,
                     std::optional<bool> /*pinned*/) {
  return Tensor(at::detail::empty_strided_generic(size, stride, c10::GetAllocator(at::kCUDA),
                                                  c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                                  type.value_or(at::kFloat)));
}

Tensor& copy(Tensor& target, const Tensor& source, bool /*non_blocking*/) {
  if (target.is_cuda() != source.is_cuda()) refuse_while_recording("a copy between the host and the device");
  if (target.is_cuda() && !source.is_cuda()) ++uploads;
  if (!target.is_cuda() && source.is_cuda()) ++reads;
  perform([own_target = seen_by_host(target), own_source = seen_by_host(source)] {
    own_target.copy_(own_source);
  });
  return target;
}

Tensor copy_from_and_resize(const Tensor& source, const Tensor& target) {
  if (source.is_cuda() && !target.is_cuda()) {
    refuse_while_recording("a copy to the host");
    ++reads;
  }
  TORCH_CHECK(source.sizes() == target.sizes(), "host GPU: a copy that resizes");
  seen_by_host(target).copy_(seen_by_host(source));
  return target;
}

// Sums of products of narrow types are fp32 and rounded once, as a GPU's are. Some processors have none of their own, and
// multiply number by number.
at::ScalarType sum_type(const Tensor& x) {
  return at::isReducedFloatingType(x.scalar_type()) ? at::kFloat : x.scalar_type();
}

// out = beta sum + alpha a b, of matrices or of batches of them; a `sum` times nothing is not read.
void put_product(const Tensor& out, const Tensor& sum, const Tensor& a, const Tensor& b,
                 const at::Scalar& beta, const at::Scalar& alpha, at::ScalarType type) {
  perform([own = seen_by_host(out), start = seen_by_host(sum), left = seen_by_host(a),
           right = seen_by_host(b), beta, alpha, type] {
    const Tensor product = at::matmul(left.to(type), right.to(type)).mul_(alpha);
    own.copy_(beta.toDouble() != 0 ? product.add_(start.to(type), beta) : product);
  });
}

std::vector<std::int64_t> product_sizes(const Tensor& a, const Tensor& b) {
  std::vector<std::int64_t> sizes = a.sizes().vec();
  sizes.back() = b.size(-1);
  return sizes;
}

Tensor& product_out(const Tensor& a, const Tensor& b, Tensor& out) {
  TORCH_CHECK(out.sizes() == product_sizes(a, b), "host GPU: a product into another size");
  put_product(out, {}, a, b, 0, 1, sum_type(a));
  return out;
}

Tensor product(const Tensor& a, const Tensor& b) {
  Tensor out = at::empty(product_sizes(a, b), a.options());
  return product_out(a, b, out);
}

Tensor& added_product_out(const Tensor& sum, const Tensor& a, const Tensor& b, const at::Scalar& beta,
                          const at::Scalar& alpha, Tensor& out) {
  TORCH_CHECK(out.sizes() == product_sizes(a, b), "host GPU: a product into another size");
  put_product(out, sum, a, b, beta, alpha, sum_type(a));
  return out;
}

Tensor added_product(const Tensor& sum, const Tensor& a, const Tensor& b, const at::Scalar& beta,
                     const at::Scalar& alpha) {
  Tensor out = at::empty(product_sizes(a, b), a.options());
  return added_product_out(sum, a, b, beta, alpha, out);
}

Tensor& add_product(Tensor& sum, const Tensor& a, const Tensor& b, const at::Scalar& beta,
                    const at::Scalar& alpha) {
  return added_product_out(sum, a, b, beta, alpha, sum);
}

// Products of narrow types with wide sums, which the processor does not have.
Tensor wide_mm(const Tensor& a, const Tensor& b, at::ScalarType type) {
  const Tensor product = at::empty({a.size(0), b.size(1)}, a.options().dtype(type));
  put_product(product, {}, a, b, 0, 1, type);
  return product;
}

Tensor& wide_addmm_out(const Tensor& sum, const Tensor& a, const Tensor& b, at::ScalarType type,
                       const at::Scalar& beta, const at::Scalar& alpha, Tensor& out) {
  put_product(out, sum, a, b, beta, alpha, type);
  return out;
}

// Its output holds the squares before their mean, and the processor's view of this memory cannot grow.
Tensor& mse_loss_out(const Tensor& x, const Tensor& target, std::int64_t reduction, Tensor& out) {
  refuse_while_recording("mse_loss");
  const Tensor loss = at::mse_loss(seen_by_host(x), seen_by_host(target), reduction);
  take_size(out, loss);
  seen_by_host(out).copy_(loss);
  return out;
}

// LibTorch chooses the kernel by the device of its arguments.
std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& gradient, const Tensor& input, const Tensor& weight, at::OptionalIntArrayRef bias_size,
    at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
    at::IntArrayRef output_padding, std::int64_t groups, std::array<bool, 3> wanted) {
  const auto [of_input, of_weight, of_bias] =
      at::convolution_backward(seen_by_host(gradient), seen_by_host(input), seen_by_host(weight), bias_size,
                               stride, padding, dilation, transposed, output_padding, groups, wanted);
  return {on_device(of_input), on_device(of_weight), on_device(of_bias)};
}

TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>()); }
TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("copy_", &copy);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  for (const char* name : {"mm", "bmm"}) {
    m.impl(name, &product);
    m.impl((std::string(name) + ".out").c_str(), &product_out);
  }
  for (const char* name : {"addmm", "baddbmm"}) {
    m.impl(name, &added_product);
    m.impl((std::string(name) + ".out").c_str(), &added_product_out);
    m.impl((std::string(name) + "_").c_str(), &add_product);
  }
  m.impl("mm.dtype", &wide_mm);
  m.impl("addmm.dtype_out", &wide_addmm_out);
  m.impl("mse_loss.out", &mse_loss_out);
  m.impl("convolution_backward", &convolution_backward);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("view", &at::native::view);
  m.impl("_reshape_alias", &at::native::_reshape_alias);
  m.impl("unfold", &at::native::unfold);
}

}  // namespace
}  // namespace omni::host_gpu

std::int64_t omni_host_gpu_uploads() { return omni::host_gpu::uploads; }
std::int64_t omni_host_gpu_reads() { return omni::host_gpu::reads; }
