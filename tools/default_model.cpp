#include "default_model.h"

#include "omni/core/error.h"

namespace omni::tools {

std::filesystem::path default_model() {
  namespace fs = std::filesystem;
  const fs::path bundle = fs::path("models") / "tiny" / "bundle";
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  // bin/omni of an installation or a package, build/<preset>/omni of a build.
  for (const fs::path& root : {program.parent_path() / "share" / "omni", program.parent_path().parent_path()})
    if (fs::exists(root / bundle / "bundle.yaml", error)) return root / bundle;
  fail(ErrorKind::usage,
       "choosing a model: no --model is given, and the one that comes with the program is not beside ",
       program, ". Name a bundle, such as --model out/demo/finetune/bundle");
}

}  // namespace omni::tools
