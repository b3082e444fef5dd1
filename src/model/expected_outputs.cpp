#include "expected_outputs.h"

#include "omni/core/error.h"
#include "omni/nn/parameters.h"

namespace omni::model {

at::Tensor ExpectedOutputs::tensor(const std::string& name, const std::vector<std::int64_t>& shape) const {
  if (!file_.contains(name) && !file_.other_types().contains(name))
    fail(ErrorKind::input, "reading '", file_.name(), "': the tensor '", name,
         "' is missing; it is expected in the shape ", at::IntArrayRef(shape),
         " (-1: any). Give a file with the reference's inputs and outputs");
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

at::Tensor ExpectedOutputs::ids(const std::string& name, const std::vector<std::int64_t>& shape,
                                std::int64_t count) const {
  const at::Tensor found = integers(name, shape);
  const at::Tensor outside = found.lt(0).logical_or(found.ge(count)).flatten().nonzero();
  if (outside.size(0) > 0) {
    const std::int64_t first = outside[0].item<std::int64_t>();
    fail(ErrorKind::input, "reading '", file_.name(), "': element ", first, " of the tensor '", name, "' is ",
         found.flatten()[first].item<std::int64_t>(), ", and ids are from 0 to ", count - 1,
         ". Give the outputs that belong to these weights");
  }
  return found;
}

at::Tensor ExpectedOutputs::reals(const std::string& name, const std::vector<std::int64_t>& shape) const {
  const at::Tensor found = tensor(name, shape);
  if (!found.is_floating_point())
    fail(ErrorKind::input, "reading '", file_.name(), "': the tensor '", name,
         "' must hold floating-point numbers");
  return found.to(at::kFloat);
}

}  // namespace omni::model
