#include "expected_outputs.h"

#include "omni/core/error.h"
#include "omni/nn/parameters.h"

namespace omni::model {

at::Tensor ExpectedOutputs::tensor(const std::string& name, const std::vector<std::int64_t>& shape) const {
  const TensorView& view = file_.at(name);
  bool fits = view.shape.size() == shape.size() && view.element_count() > 0;
  for (std::size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] < 0 || view.shape[i] == shape[i];
  if (!fits)
    fail(ErrorKind::input, "reading '", file_.name(), "': the tensor '", name, "' has the shape ",
         at::IntArrayRef(view.shape), ", not ", at::IntArrayRef(shape),
         " (-1: any). Give the outputs that belong to these weights");
  return nn::to_tensor(view);
}

at::Tensor ExpectedOutputs::integers(const std::string& name, const std::vector<std::int64_t>& shape) const {
  const at::Tensor found = tensor(name, shape);
  if (found.is_floating_point() || found.scalar_type() == at::kBool)
    fail(ErrorKind::input, "reading '", file_.name(), "': the tensor '", name, "' must hold whole numbers");
  return found.to(at::kLong);
}

at::Tensor ExpectedOutputs::reals(const std::string& name, const std::vector<std::int64_t>& shape) const {
  const at::Tensor found = tensor(name, shape);
  if (!found.is_floating_point())
    fail(ErrorKind::input, "reading '", file_.name(), "': the tensor '", name,
         "' must hold floating-point numbers");
  return found.to(at::kFloat);
}

}  // namespace omni::model
