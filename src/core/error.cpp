#include "omni/core/error.h"

#include <array>

namespace omni {

std::span<const ExitCode> exit_codes() {
  static constexpr std::array<ExitCode, 9> kCodes = {{
      {kExitDone, "done"},
      {kExitNo, "the answer is no (mesh check, tokenizer verify, model verify, checkpoint verify)"},
      {exit_code(ErrorKind::usage), "wrong use: arguments or configuration"},
      {exit_code(ErrorKind::input), "a file that cannot be understood"},
      {exit_code(ErrorKind::io), "the system refused: a missing file, a full disk"},
      {exit_code(ErrorKind::internal), "a defect of omni"},
      {exit_code(ErrorKind::out_of_memory), "out of memory"},
      {exit_code(ErrorKind::stopped), "stopped by SIGTERM or SIGUSR1 at a checkpoint; --resume goes on"},
      {exit_code(ErrorKind::interrupted), "interrupted"},
  }};
  return kCodes;
}

}  // namespace omni
