#include "call.h"

#include "omni/core/error.h"

namespace omni::distributed {

CallWords pack(const Call& call) {
  return {call.number,
          call.count,
          static_cast<std::int64_t>(call.operation),
          static_cast<std::int64_t>(call.reduction),
          static_cast<std::int64_t>(call.type),
          call.root};
}

Call unpack(const CallWords& words) {
  return {words[0],
          words[1],
          static_cast<Operation>(words[2]),
          static_cast<Reduction>(words[3]),
          static_cast<at::ScalarType>(words[4]),
          static_cast<std::int32_t>(words[5])};
}

Call begun_call(const Collectives& of, Operation operation, const at::Tensor& whole, Reduction reduction,
                int root) {
  return {of.calls_begun(), whole.numel(), operation, reduction, whole.scalar_type(), root};
}

std::string describe(const Call& call) {
  constexpr std::array kNames = {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "barrier"};
  const auto operation = static_cast<std::size_t>(call.operation);
  std::string text = concat("call ", call.number, ", ",
                            operation < kNames.size() ? kNames[operation] : "an unknown operation");
  if (call.operation == Operation::barrier) return text;
  text += concat(" of ", call.count, " ", c10::toString(call.type));
  if (call.operation == Operation::broadcast) text += concat(" from rank ", call.root);
  if (call.reduction == Reduction::maximum) text += " (maximum)";
  return text;
}

}  // namespace omni::distributed
