#include "omni/nn/parameters.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::nn {
namespace {

Tensor initial_value(at::IntArrayRef shape, Init init, ParameterStart::Kind start, std::uint64_t stream) {
  if (start == ParameterStart::Kind::unset) return at::empty(shape, at::kFloat);
  if (start == ParameterStart::Kind::shapes)
    return at::empty(shape, at::TensorOptions(at::kFloat).device(at::kMeta));
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

ParameterStart ParameterStart::unset() {
  ParameterStart start;
  start.kind = Kind::unset;
  return start;
}

ParameterStart ParameterStart::shapes() {
  ParameterStart start;
  start.kind = Kind::shapes;
  return start;
}

ParameterStart ParameterStart::to_load(const SafetensorsFile& file) {
  constexpr double kAlways = 1 << 24;
  ParameterStart start = unset();
  start.file = file.name();
  start.maximum_elements = kAlways;
  // Twice: a network may have parts that the file lacks.
  for (const auto& [name, tensor] : file.tensors())
    start.maximum_elements += 2 * static_cast<double>(tensor.element_count());
  return start;
}

Tensor ParameterStore::add(std::string name, at::IntArrayRef shape, Init init, ParameterTraits traits,
                           std::size_t unit) {
  ensure(!sealed_, "parameter '", name, "' comes after its store was sealed");
  ensure(!index_.contains(name), "parameter '", name, "' exists twice");
  double elements = 1;
  for (const std::int64_t side : shape) elements *= static_cast<double>(side);
  elements_ += elements;
  if (elements_ > start_.maximum_elements)
    fail(ErrorKind::input, "reading '", start_.file, "': its configuration describes ", elements_,
         " weights and more, far more than it holds. The two do not belong together");
  Tensor value = initial_value(shape, init, start_.kind, hash_combine(start_.seed, hash_string(name)));
  value.set_requires_grad(traits.trainable);
  index_.emplace(name, parameters_.size());
  parameters_.push_back(
      {std::move(name), value, value.detach(), traits.trainable, std::move(traits.stacked_rows), unit});
  return value;
}

std::size_t ParameterStore::add_unit(std::string name, ParameterUnit::Kind kind) {
  units_.push_back({std::move(name), kind, {}, {}});
  return units_.size() - 1;
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

void ParameterStore::set_trainable(bool trainable) {
  for (Parameter& parameter : parameters_)
    parameter.value.set_requires_grad(trainable && parameter.trainable);
}

void ParameterStore::freeze(const std::function<bool(const Parameter&)>& which) {
  ensure(!sealed_, "parameters are frozen after their store was sealed");
  for (Parameter& parameter : parameters_) {
    if (!which(parameter)) continue;
    parameter.trainable = false;
    parameter.value.set_requires_grad(false);
  }
}

void ParameterStore::freeze_rows(std::string_view name, const ElementRange& rows) {
  const auto found = index_.find(name);
  ensure(found != index_.end(), "no parameter is called '", name, "'");
  Parameter& parameter = parameters_[found->second];
  ensure(parameter.value.dim() == 1, "an optimiser may decay rows of '", name, "' that have no gradient");
  ensure(rows.first >= 0 && rows.first + rows.count <= parameter.value.size(0), "rows outside '", name, "'");
  parameter.frozen_rows = rows;
}

void ParameterStore::remove(const std::function<bool(const Parameter&)>& which) {
  ensure(!sealed_, "parameters are removed after their store was sealed");
  std::erase_if(parameters_, which);
  index_.clear();
  for (std::size_t i = 0; i < parameters_.size(); ++i) index_.emplace(parameters_[i].name, i);
}

void ParameterStore::to(at::Device device, const std::function<at::ScalarType(const Parameter&)>& type) {
  ensure(!sealed_, "parameters move after their store was sealed");
  const c10::NoGradGuard no_grad;
  for (Parameter& parameter : parameters_) {
    const at::ScalarType own = type ? type(parameter) : parameter.value.scalar_type();
    parameter.value.set_data(parameter.value.to(device, own));
    parameter.master = parameter.value.detach();
  }
}

void ParameterStore::require_fitting(const SafetensorsFile& file, const std::string& prefix,
                                     const std::vector<std::string>& ignored) const {
  for (const Parameter& parameter : parameters_) {
    const TensorView& view = file.at(prefix + parameter.name);
    if (at::IntArrayRef(view.shape) != parameter.value.sizes()) {
      fail(ErrorKind::input, "reading '", file.name(), "': tensor '", prefix, parameter.name,
           "' has the shape ", at::IntArrayRef(view.shape), ", the network needs ", parameter.value.sizes());
    }
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

void ParameterStore::load(const SafetensorsFile& file, const std::string& prefix,
                          const std::vector<std::string>& ignored) {
  const c10::NoGradGuard no_grad;
  require_fitting(file, prefix, ignored);
  for (Parameter& parameter : parameters_) set(parameter, to_tensor(file.at(prefix + parameter.name)));
  for (ParameterUnit& unit : units_)
    for (ParameterSection& section : unit.sections) values_changed(section);
}

void ParameterStore::save(const std::filesystem::path& path,
                          const std::map<std::string, std::string>& metadata,
                          at::ScalarType matrix_type) const {
  NamedTensors tensors;
  for (const Parameter& parameter : parameters_) {
    ensure(parameter.master.defined(), "sharded parameters are saved by one rank alone");
    tensors.emplace_back(parameter.name,
                         parameter.master.dim() < 2 ? parameter.master : parameter.master.to(matrix_type));
  }
  write_tensors(path, tensors, metadata);
}

ParameterScope ParameterScope::sub(std::string_view name) const {
  ParameterScope below = *this;
  below.prefix_ = prefix_.empty() ? std::string(name) : concat(prefix_, ".", name);
  return below;
}
ParameterScope ParameterScope::sub(std::int64_t index) const { return sub(std::to_string(index)); }
ParameterScope ParameterScope::unit(ParameterUnit::Kind kind) const {
  ParameterScope same = *this;
  same.unit_ = store_->add_unit(prefix_, kind);
  return same;
}
Tensor ParameterScope::add(std::string_view name, at::IntArrayRef shape, Init init,
                           ParameterTraits traits) const {
  return store_->add(prefix_.empty() ? std::string(name) : concat(prefix_, ".", name), shape, init,
                     std::move(traits), unit_);
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
