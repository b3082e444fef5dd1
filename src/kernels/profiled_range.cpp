#include "omni/kernels/profiled_range.h"

#include <ATen/record_function.h>

namespace omni::kernels {

struct ProfiledRange::Record {
  explicit Record(at::StepCallbacks&& callbacks) : function(std::move(callbacks)) {}
  at::RecordFunction function;
};

ProfiledRange::ProfiledRange(const char* name, Kind kind) {
  auto callbacks = at::getStepCallbacksUnlessEmpty(kind == Kind::operation ? at::RecordScope::FUNCTION
                                                                           : at::RecordScope::USER_SCOPE);
  if (!callbacks) return;
  record_ = std::make_unique<Record>(std::move(*callbacks));
  record_->function.before(name, c10::ArrayRef<const c10::IValue>());
}

ProfiledRange::~ProfiledRange() = default;

}  // namespace omni::kernels
