#include "omni/nn/parameters.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::nn {
namespace {

at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return at::kDouble;
    case DType::f32:
      return at::kFloat;
    case DType::f16:
      return at::kHalf;
    case DType::bf16:
      return at::kBFloat16;
    case DType::i64:
      return at::kLong;
    case DType::i32:
      return at::kInt;
    case DType::i16:
      return at::kShort;
    case DType::i8:
      return at::kChar;
    case DType::u8:
      return at::kByte;
    case DType::boolean:
      return at::kBool;
  }
  return at::kFloat;
}

DType dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return DType::f64;
    case at::kFloat:
      return DType::f32;
    case at::kHalf:
      return DType::f16;
    case at::kBFloat16:
      return DType::bf16;
    case at::kLong:
      return DType::i64;
    case at::kInt:
      return DType::i32;
    case at::kShort:
      return DType::i16;
    case at::kChar:
      return DType::i8;
    case at::kByte:
      return DType::u8;
    case at::kBool:
      return DType::boolean;
    default:
      fail(ErrorKind::internal, "tensors of type ", at::toString(type), " cannot be stored");
  }
}

Tensor initial_value(at::IntArrayRef shape, Init init, std::uint64_t stream) {
  switch (init.kind) {
    case Init::Kind::zeros:
      return at::zeros(shape, at::kFloat);
    case Init::Kind::ones:
      return at::ones(shape, at::kFloat);
    case Init::Kind::normal: {
      auto generator = at::make_generator<at::CPUGeneratorImpl>(stream);
      return at::empty(shape, at::kFloat).normal_(0.0, init.scale, generator);
    }
    case Init::Kind::uniform: {
      auto generator = at::make_generator<at::CPUGeneratorImpl>(stream);
      return at::empty(shape, at::kFloat).uniform_(-init.scale, init.scale, generator);
    }
  }
  return {};
}

}  // namespace

Init Init::fan_in(std::int64_t inputs) {
  return uniform(1.0 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, inputs))));
}

ParameterStart ParameterStart::to_load(const SafetensorsFile& file) {
  constexpr double kAlways = 1 << 24;
  ParameterStart start;
  start.file = file.name();
  start.maximum_elements = kAlways;
  // Twice: a network may have parts that the file lacks.
  for (const auto& [name, tensor] : file.tensors())
    start.maximum_elements += 2 * static_cast<double>(tensor.element_count());
  return start;
}

Tensor ParameterStore::add(std::string name, at::IntArrayRef shape, Init init, bool trainable) {
  ensure(!index_.contains(name), "parameter '", name, "' exists twice");
  double elements = 1;
  for (const std::int64_t side : shape) elements *= static_cast<double>(side);
  elements_ += elements;
  if (elements_ > start_.maximum_elements)
    fail(ErrorKind::input, "reading '", start_.file, "': its configuration describes ", elements_,
         " weights and more, far more than it holds. The two do not belong together");
  Tensor value = initial_value(shape, init, hash_combine(start_.seed, hash_string(name)));
  value.set_requires_grad(trainable);
  index_.emplace(name, parameters_.size());
  parameters_.push_back({std::move(name), value, trainable});
  return value;
}

const Parameter* ParameterStore::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &parameters_[found->second];
}

std::int64_t ParameterStore::element_count() const {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters_) count += parameter.value.numel();
  return count;
}

void ParameterStore::zero_gradients() {
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad() = Tensor();
}

void ParameterStore::set_trainable(bool trainable) {
  for (Parameter& parameter : parameters_)
    parameter.value.set_requires_grad(trainable && parameter.trainable);
}

void ParameterStore::freeze_except(std::string_view prefix) {
  for (Parameter& parameter : parameters_) {
    if (std::string_view(parameter.name).starts_with(prefix)) continue;
    parameter.trainable = false;
    parameter.value.set_requires_grad(false);
  }
}

void ParameterStore::to(at::Device device) {
  const c10::NoGradGuard no_grad;
  for (Parameter& parameter : parameters_) parameter.value.set_data(parameter.value.to(device));
}

void ParameterStore::load(const SafetensorsFile& file, const std::string& prefix,
                          const std::vector<std::string>& ignored) {
  const c10::NoGradGuard no_grad;
  for (Parameter& parameter : parameters_) {
    const TensorView& view = file.at(prefix + parameter.name);
    if (at::IntArrayRef(view.shape) != parameter.value.sizes()) {
      fail(ErrorKind::input, "reading '", file.name(), "': tensor '", prefix, parameter.name,
           "' has the shape ", at::IntArrayRef(view.shape), ", the network needs ", parameter.value.sizes());
    }
    parameter.value.copy_(to_tensor(view));
  }
  const std::set<std::string> skip(ignored.begin(), ignored.end());
  for (const auto& [name, view] : file.tensors()) {
    if (!name.starts_with(prefix)) continue;
    const std::string own = name.substr(prefix.size());
    if (!index_.contains(own) && !skip.contains(own)) {
      fail(ErrorKind::input, "reading '", file.name(), "': the network has no tensor '", name,
           "'. The file belongs to another configuration");
    }
  }
}

void ParameterStore::save(const std::filesystem::path& path,
                          const std::map<std::string, std::string>& metadata) const {
  NamedTensors tensors;
  for (const Parameter& parameter : parameters_) tensors.emplace_back(parameter.name, parameter.value);
  write_tensors(path, tensors, metadata);
}

ParameterScope ParameterScope::sub(std::string_view name) const {
  return ParameterScope(*store_, prefix_.empty() ? std::string(name) : concat(prefix_, ".", name));
}
ParameterScope ParameterScope::sub(std::int64_t index) const { return sub(std::to_string(index)); }
Tensor ParameterScope::add(std::string_view name, at::IntArrayRef shape, Init init, bool trainable) const {
  return store_->add(prefix_.empty() ? std::string(name) : concat(prefix_, ".", name), shape, init,
                     trainable);
}

namespace {

// Tensors as they are written, and the memory behind them.
struct WritableTensors {
  explicit WritableTensors(const NamedTensors& tensors) {
    for (const auto& [name, tensor] : tensors) {
      held.push_back(tensor.detach().cpu().contiguous());
      views.push_back({name, view_of(held.back())});
    }
  }
  std::vector<Tensor> held;
  std::vector<NamedTensorView> views;
};

}  // namespace

void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const std::map<std::string, std::string>& metadata) {
  write_safetensors(path, WritableTensors(tensors).views, metadata);
}

std::uint64_t hash_tensors(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata) {
  return hash_safetensors(WritableTensors(tensors).views, metadata);
}

Tensor to_tensor(const TensorView& view) {
  Tensor tensor = at::empty(view.shape, scalar_type(view.dtype));
  if (!view.bytes.empty()) std::memcpy(tensor.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
  return tensor;
}

TensorView view_of(const Tensor& tensor) {
  ensure(tensor.is_contiguous() && tensor.device().is_cpu(),
         "only contiguous tensors on the CPU can be viewed as bytes");
  return {
      dtype_of(tensor.scalar_type()),
      tensor.sizes().vec(),
      {static_cast<const std::byte*>(tensor.const_data_ptr()), static_cast<std::size_t>(tensor.nbytes())}};
}

}  // namespace omni::nn
