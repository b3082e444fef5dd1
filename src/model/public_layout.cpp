#include "omni/model/public_layout.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/core/finite_values.h"
#include "omni/core/interrupt.h"

namespace omni::model {
namespace {

using at::Tensor;
using Shape = at::IntArrayRef;

bool is_floating(DType type) {
  return type == DType::f64 || type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

template <class... Parts>
[[noreturn]] void refuse(const WeightSource& source, const Parts&... what) {
  fail(ErrorKind::input, "reading '", source.name(), "': ", what...);
}

std::string described(const std::string& name, Shape shape) {
  return concat("'", name, "' of shape ", shape);
}

void require_nothing_else(const WeightSource& source, const PublicLayout& layout) {
  std::set<std::string> known;
  for (const PublicTensor& tensor : layout.tensors()) known.insert(tensor.name);
  for (const auto& [name, view] : source.tensors()) {
    if (known.contains(name) || !is_floating(view.dtype) || layout.ignores(name)) continue;
    constexpr std::size_t kLongestName =
        256;  // that any publisher gives; comparing longer ones takes its time
    const std::string nearest =
        name.size() <= kLongestName ? nearest_word(name, {known.begin(), known.end()}) : std::string();
    refuse(source, "the configuration has no place for the tensor ", described(name, view.shape),
           ". It expects ", known.size(), " tensors", nearest.empty() ? "" : ", such as '" + nearest + "'",
           ". Give the configuration that belongs to the file");
  }
}

// The tensor in its own type, all of its elements finite.
Tensor checked_tensor(const WeightSource& source, const PublicTensor& wanted) {
  const TensorView& view = source.at(wanted.name);
  require_finite(view, wanted.name, source.name());
  return nn::to_tensor(view);
}

const nn::Parameter& find(std::span<nn::ParameterStore* const> stores, const std::string& name) {
  for (const nn::ParameterStore* store : stores)
    if (const nn::Parameter* found = store->find(name)) return *found;
  fail(ErrorKind::internal, "internal error: no parameter '", name, "'");
}

// Parameters of which the layout leaves rows out start from zero.
void clear_what_is_left_out(const PublicLayout& layout, std::span<nn::ParameterStore* const> stores) {
  std::map<std::string, std::int64_t> given;
  for (const PublicTensor& tensor : layout.tensors())
    for (const PublicTensor::Piece& piece : tensor.pieces) given[piece.parameter] += piece.rows;
  for (const nn::ParameterStore* store : stores)
    for (const nn::Parameter& parameter : store->all())
      if (given[parameter.name] < parameter.value.size(0)) at::Tensor(parameter.value).zero_();
}

}  // namespace

void PublicLayout::add(std::string name, std::vector<std::int64_t> shape, std::string parameter,
                       std::int64_t parameter_row) {
  const std::int64_t rows = shape.at(0);
  tensors_.push_back({std::move(name), std::move(shape), {{std::move(parameter), parameter_row, 0, rows}}});
}

void PublicLayout::add_linear(const std::string& name, std::int64_t rows, std::int64_t columns,
                              const std::string& parameter, std::int64_t parameter_row) {
  add(name + ".weight", {rows, columns}, parameter + ".weight", parameter_row);
  add(name + ".bias", {rows}, parameter + ".bias", parameter_row);
}

std::int64_t PublicLayout::element_count() const {
  std::int64_t count = 0;
  for (const PublicTensor& tensor : tensors_) count += c10::multiply_integers(tensor.shape);
  return count;
}

bool PublicLayout::ignores(const std::string& name) const {
  return ignored_.contains(name) || std::any_of(ignored_prefixes_.begin(), ignored_prefixes_.end(),
                                                [&](const std::string& p) { return name.starts_with(p); });
}

void require_layout(const WeightSource& source, const PublicLayout& layout) {
  for (const PublicTensor& wanted : layout.tensors()) {
    const auto found = source.tensors().find(wanted.name);
    if (found == source.tensors().end()) {
      try {
        source.at(wanted.name);  // which knows why
      } catch (const Error& error) {
        throw Error(ErrorKind::input, concat(error.what(), ". The configuration expects it in the shape ",
                                             Shape(wanted.shape)));
      }
    }
    const TensorView& view = found->second;
    if (!is_floating(view.dtype))
      refuse(source, "the tensor '", wanted.name, "' has the type ", dtype_name(view.dtype),
             ". Weights are F16, BF16, F32 or F64");
    if (Shape(view.shape) != Shape(wanted.shape))
      refuse(source, "the tensor '", wanted.name, "' has the shape ", Shape(view.shape),
             ", the configuration expects ", Shape(wanted.shape),
             ". Give the configuration that belongs to the file");
  }
  require_nothing_else(source, layout);
}

namespace {

// Of a layout that was required.
void copy_tensors(const WeightSource& source, const PublicLayout& layout,
                  std::span<nn::ParameterStore* const> stores) {
  for (const PublicTensor& wanted : layout.tensors()) {
    throw_if_interrupted();
    const Tensor tensor = checked_tensor(source, wanted);
    for (const PublicTensor::Piece& piece : wanted.pieces) {
      const Tensor target = find(stores, piece.parameter).value.narrow(0, piece.parameter_row, piece.rows);
      const Tensor rows = tensor.narrow(0, piece.tensor_row, piece.rows);
      ensure(target.sizes() == rows.sizes(), "'", wanted.name, "' does not fit '", piece.parameter, "'");
      target.copy_(rows);
    }
  }
}

}  // namespace

void read_weights(const WeightSource& source, const PublicLayout& layout,
                  std::span<nn::ParameterStore* const> stores) {
  const c10::NoGradGuard guard;
  require_layout(source, layout);
  clear_what_is_left_out(layout, stores);
  copy_tensors(source, layout, stores);
}

void overwrite_weights(const WeightSource& source, const PublicLayout& layout,
                       std::span<nn::ParameterStore* const> stores) {
  const c10::NoGradGuard guard;
  require_layout(source, layout);
  copy_tensors(source, layout, stores);
}

Tensor read_parameter(const WeightSource& source, const PublicLayout& layout, const std::string& parameter,
                      Shape shape) {
  const c10::NoGradGuard guard;
  Tensor values = at::zeros(shape, at::kFloat);
  for (const PublicTensor& wanted : layout.tensors()) {
    Tensor tensor;  // fetched and checked once
    for (const PublicTensor::Piece& piece : wanted.pieces) {
      if (piece.parameter != parameter) continue;
      if (!tensor.defined()) tensor = checked_tensor(source, wanted);
      values.narrow(0, piece.parameter_row, piece.rows).copy_(tensor.narrow(0, piece.tensor_row, piece.rows));
    }
  }
  return values;
}

void copy_weights(const WeightSource& source, const PublicLayout& layout, const std::filesystem::path& path,
                  const std::map<std::string, Tensor>& replaced) {
  require_layout(source, layout);
  std::vector<NamedTensorView> views;
  for (const PublicTensor& wanted : layout.tensors()) {
    throw_if_interrupted();
    require_finite(source.at(wanted.name), wanted.name, source.name());
    const auto other = replaced.find(wanted.name);
    views.push_back(
        {wanted.name, other == replaced.end() ? source.at(wanted.name) : nn::view_of(other->second)});
  }
  write_safetensors(path, views);
}

}  // namespace omni::model
