#include "verdict.h"

#include <charconv>

namespace omni::distributed {

std::string pack(const Verdict& verdict) { return concat(exit_code(verdict.kind), " ", verdict.text); }

Verdict unpack_verdict(const std::string& packed) {
  int kind = exit_code(ErrorKind::io);
  const auto [end, error] = std::from_chars(packed.data(), packed.data() + packed.size(), kind);
  const std::size_t text = static_cast<std::size_t>(end - packed.data()) + 1;
  return {static_cast<ErrorKind>(kind), text <= packed.size() ? packed.substr(text) : std::string()};
}

Verdict propose(Store& store, const Verdict& verdict) {
  return unpack_verdict(store.set_first(kVerdictKey, pack(verdict)));
}

}  // namespace omni::distributed
